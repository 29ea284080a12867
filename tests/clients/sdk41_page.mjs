// The page of a web client on the API that matrix-js-sdk had up to 41.9, which is built on oidc-client-ts.
import { createClient } from "matrix-js-sdk-41";
import { completeAuthorizationCodeGrant } from "matrix-js-sdk-41/lib/oidc/authorize.js";
import { generateOidcAuthorizationUrl, OidcTokenRefresher, registerOidcClient } from "matrix-js-sdk-41/lib/oidc/index.js";

class Refresher extends OidcTokenRefresher {
    count = 0;
    async persistTokens() {
        this.count++;
    }
}

let client, refresher, issuer, tokens, metadata;

window.app = {
    async begin(baseUrl, { mode, redirectUri }) {
        const found = await createClient({ baseUrl }).getAuthMetadata();
        const clientId = await registerOidcClient(found, {
            clientName: "Old test client",
            clientUri: `${location.origin}/`,
            redirectUris: [redirectUri],
            applicationType: "web",
            contacts: [],
        });
        sessionStorage.setItem("mode", mode);
        return generateOidcAuthorizationUrl({
            metadata: found, clientId, redirectUri, homeserverUrl: baseUrl, nonce: crypto.randomUUID(), responseMode: mode,
        });
    },

    async finish(redirectUri) {
        const mode = sessionStorage.getItem("mode");
        const answer = new URLSearchParams(mode === "fragment" ? location.hash.slice(1) : location.search);
        const done = await completeAuthorizationCodeGrant(answer.get("code"), answer.get("state"), mode);
        issuer = done.oidcClientSettings.issuer;
        tokens = done.tokenResponse;
        const baseUrl = done.homeserverUrl;
        metadata = await createClient({ baseUrl }).getAuthMetadata();
        const who = await createClient({ baseUrl, accessToken: tokens.access_token }).whoami();
        refresher = new Refresher(issuer, done.oidcClientSettings.clientId, redirectUri, who.device_id, done.idTokenClaims);
        client = createClient({
            baseUrl,
            accessToken: tokens.access_token,
            refreshToken: tokens.refresh_token,
            userId: who.user_id,
            deviceId: who.device_id,
            tokenRefreshFunction: (token) => refresher.doRefreshAccessToken(token),
        });
        return { who, scope: tokens.scope, idToken: tokens.id_token ?? null, clientId: done.oidcClientSettings.clientId };
    },

    seen: () => ({ refreshes: refresher.count }),
    whoami: () => client.whoami(),

    // logout is the caller's business with this API: both tokens are revoked, one after the other.
    async logout(clientId) {
        const statuses = [];
        for (const [token, hint] of [
            [client.http.opts.accessToken, "access_token"],
            [client.http.opts.refreshToken, "refresh_token"],
        ]) {
            const answer = await fetch(metadata.revocation_endpoint, {
                method: "POST",
                body: new URLSearchParams({ token, token_type_hint: hint, client_id: clientId }),
            });
            statuses.push(answer.status);
            await answer.json();
        }
        return statuses;
    },
};
