// The page of a web client on today's matrix-js-sdk. A driver calls it by window.app. What a client
// keeps over navigations is in the tab's storage, and its session in that of all tabs.
import { createClient, ClientEvent, HttpApiEvent, SyncState } from "matrix-js-sdk";
import { OAuth2 } from "matrix-js-sdk/lib/oauth/index.js";

const pending = "pending";
const session = "session";
let client;
const seen = { refreshes: 0, syncs: 0, loggedOut: false };

const load = (storage, key) => JSON.parse(storage.getItem(key) ?? "null");
const save = (storage, key, value) => storage.setItem(key, JSON.stringify(value));

window.app = {
    // begin registers the client and gives the address to go to.
    async begin(baseUrl, { mode, redirectUri, prompt, more }) {
        const metadata = await createClient({ baseUrl }).getAuthMetadata();
        const clientId = await OAuth2.registerClient(metadata, {
            client_name: "Test client",
            client_uri: `${location.origin}/`,
            redirect_uris: [redirectUri],
            application_type: "web",
            contacts: ["mailto:test@example.test"],
            tos_uri: `${location.origin}/terms`,
            policy_uri: `${location.origin}/privacy`,
            ...more,
        });
        const oauth = new OAuth2(metadata, { clientId });
        const state = crypto.randomUUID();
        save(sessionStorage, pending, { baseUrl, context: oauth.context, redirectUri, mode, state });
        return oauth.generateAuthorizationCodeGrantUrl(state, redirectUri, mode, prompt);
    },

    // finish takes the answer from the address that the browser came back to.
    async finish() {
        const { baseUrl, context, redirectUri, mode, state } = load(sessionStorage, pending);
        const answer = new URLSearchParams(mode === "fragment" ? location.hash.slice(1) : location.search);
        if (answer.get("error")) return { error: answer.get("error"), iss: answer.get("iss") };
        if (answer.get("state") !== state) throw new Error(`state ${answer.get("state")}, want ${state}`);
        const metadata = await createClient({ baseUrl }).getAuthMetadata();
        if (answer.get("iss") !== metadata.issuer) throw new Error(`iss ${answer.get("iss")}, want ${metadata.issuer}`);
        const tokens = await new OAuth2(metadata, context).completeAuthorizationCodeGrant(answer.get("code"), redirectUri);
        const who = await createClient({ baseUrl, accessToken: tokens.access_token }).whoami();
        save(localStorage, session, {
            baseUrl,
            accessToken: tokens.access_token,
            refreshToken: tokens.refresh_token,
            userId: who.user_id,
            deviceId: who.device_id,
            oauthClientId: context.clientId,
        });
        return { who, asked: context.deviceId, scope: tokens.scope, expires: tokens.expires_in };
    },

    // open takes up the session that the storage holds, as a tab does.
    open() {
        const { userId, deviceId, ...rest } = load(localStorage, session);
        client = createClient({
            ...rest,
            userId,
            deviceId,
            onTokenRefresh: ({ accessToken, refreshToken }) => {
                seen.refreshes++;
                save(localStorage, session, { ...load(localStorage, session), accessToken, refreshToken });
            },
        });
        client.on(HttpApiEvent.SessionLoggedOut, () => (seen.loggedOut = true));
        client.on(ClientEvent.Sync, (state) => {
            if (state === SyncState.Syncing) seen.syncs++;
        });
    },

    seen: () => ({ ...seen, token: client?.getAccessToken() }),
    whoami: () => client.whoami(),
    start: () => client.startClient({ initialSyncLimit: 1, pollTimeout: 1000 }),
    stop: () => client.stopClient(),
    logout: () => client.logout(true),
    // expired asks without the client, so that it does not refresh.
    async expired() {
        const { baseUrl } = load(localStorage, session);
        const answer = await fetch(`${baseUrl}/_matrix/client/v3/account/whoami`, { headers: { authorization: `Bearer ${client.getAccessToken()}` } });
        return answer.status === 401;
    },
};
