// openid-client, which is certified, as a program uses it.
import * as oidc from "openid-client";
import { answer, closeBrowser } from "./people.mjs";
import { check, done, equal, ok, refused } from "./checks.mjs";

const [base, password] = process.argv.slice(2);
const alice = { name: "@alice:example.test", password };
const issuer = new URL(`${base}/`);
const origin = "https://client.example.com";
// This library sends the address that the browser came back to, less all of its query.
const redirectUri = `${origin}/callback`;
let devices = 0;

const whoami = async (token) => {
    const response = await fetch(`${base}/_matrix/client/v3/account/whoami`, { headers: { authorization: `Bearer ${token}` } });
    return { status: response.status, ...(await response.json()) };
};

async function flow(config, more = {}) {
    const device = `OPENID${String(devices++).padStart(6, "0")}`;
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const url = oidc.buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: `openid urn:matrix:client:api:* urn:matrix:client:device:${device}`,
        state,
        code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
        ...more,
    });
    const came = await answer(url, alice, origin);
    const current = came.method === "POST" ? new Request(came.url, { method: "POST", body: came.params }) : came.url;
    const tokens = await oidc.authorizationCodeGrant(config, current, { pkceCodeVerifier: verifier, expectedState: state });
    equal((await whoami(tokens.access_token)).device_id, device, "the device");
    return tokens;
}

const options = { execute: [oidc.allowInsecureRequests], algorithm: "oauth2" };

await check("openid-client registers, signs in by query and by form post, refreshes and revokes", async () => {
    const config = await oidc.dynamicClientRegistration(
        issuer,
        { client_name: "openid-client", client_uri: `${origin}/`, redirect_uris: [redirectUri], token_endpoint_auth_method: "none" },
        oidc.None(),
        options,
    );
    for (const mode of ["query", "form_post"]) {
        const tokens = await flow(config, { response_mode: mode });
        ok(!tokens.scope.split(" ").includes("openid"), `openid was granted without an ID token: ${tokens.scope}`);
        // It did not name the refresh grant when it registered. Every client gets that (TOK-4).
        const next = await oidc.refreshTokenGrant(config, tokens.refresh_token);
        await oidc.tokenRevocation(config, next.access_token);
        equal((await whoami(tokens.access_token)).status, 401, "whoami");
    }
});

for (const method of ["client_secret_basic", "client_secret_post"]) {
    await check(`openid-client signs in with ${method}, refreshes three times, introspects and revokes`, async () => {
        const make = method === "client_secret_post" ? oidc.ClientSecretPost : oidc.ClientSecretBasic;
        const config = await oidc.discovery(issuer, `static-${method}`, undefined, make("s3cret:/+&= % of a service"), options);
        let tokens = await flow(config);
        for (let i = 0; i < 3; i++) tokens = await oidc.refreshTokenGrant(config, tokens.refresh_token);
        equal((await whoami(tokens.access_token)).user_id, alice.name, "the user");
        equal((await oidc.tokenIntrospection(config, tokens.access_token)).active, true, "active");
        await oidc.tokenRevocation(config, tokens.refresh_token, { token_type_hint: "refresh_token" });
        equal((await oidc.tokenIntrospection(config, tokens.access_token)).active, false, "active after the revocation");
        const late = await refused(oidc.refreshTokenGrant(config, tokens.refresh_token), "a refresh after the revocation");
        equal(late.error, "invalid_grant", "the error");
    });
}

await closeBrowser();
done();
