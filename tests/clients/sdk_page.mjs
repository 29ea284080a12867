// The page of a web client on today's matrix-js-sdk. A driver calls it by window.app. What a client
// keeps over navigations is in the tab's storage, and its session in that of all tabs.
import { createClient, ClientEvent, HttpApiEvent, SyncState } from "matrix-js-sdk";
import { OAuth2 } from "matrix-js-sdk/lib/oauth/index.js";

const pending = "pending";
const session = "session";
let client;
// An app destroys what it keeps when it is logged out for good, and keeps it when it is told to.
const seen = { refreshes: 0, syncs: 0, loggedOut: false, ends: [] };
let expires = false;

const load = (storage, key) => JSON.parse(storage.getItem(key) ?? "null");
const save = (storage, key, value) => storage.setItem(key, JSON.stringify(value));

window.app = {
    // begin registers the client and gives the address to go to.
    async begin(baseUrl, { mode, redirectUri, prompt, deviceId, more }) {
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
        const oauth = new OAuth2(metadata, { clientId, deviceId });
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

    // signInByPassword is the way of the legacy API, on which the app refreshes by itself.
    async signInByPassword(baseUrl, user, password, deviceId) {
        const answer = await createClient({ baseUrl }).loginRequest({
            type: "m.login.password", identifier: { type: "m.id.user", user }, password, refresh_token: true, device_id: deviceId,
        });
        save(localStorage, session, {
            baseUrl, accessToken: answer.access_token, refreshToken: answer.refresh_token, userId: answer.user_id, deviceId: answer.device_id,
        });
        return { device_id: answer.device_id, user_id: answer.user_id };
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
            cryptoCallbacks: {
                cacheSecretStorageKey: (id, info, key) => save(localStorage, "secret storage", [id, [...key]]),
                getSecretStorageKey: async () => {
                    const [id, key] = load(localStorage, "secret storage");
                    return [id, new Uint8Array(key)];
                },
            },
            fetchFn: (address, options) => {
                if (!expires || !String(address).endsWith("/account/whoami")) return fetch(address, options);
                expires = false;
                return Promise.resolve(Response.json({ errcode: "M_UNKNOWN_TOKEN", error: "as if expired", soft_logout: true }, { status: 401 }));
            },
        });
        client.on(HttpApiEvent.SessionLoggedOut, async (error) => {
            seen.loggedOut = true;
            const soft = error.data?.soft_logout === true;
            seen.ends.push(soft ? "soft" : "hard");
            if (soft || client.getCrypto() === undefined) return;
            client.stopClient();
            await client.clearStores();
        });
        client.on(ClientEvent.Sync, (state) => {
            if (state === SyncState.Syncing) seen.syncs++;
        });
    },

    // encrypt takes up the keys that the browser holds for the device, or makes new ones.
    encrypt: () => client.initRustCrypto(),

    // setUpKeyBackup does what an app does at a first sign-in: cross-signing, secret storage, and a backup of keys.
    async setUpKeyBackup() {
        const crypto = client.getCrypto();
        await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: (send) => send(null) });
        await crypto.bootstrapSecretStorage({
            createSecretStorageKey: () => crypto.createRecoveryKeyFromPassphrase(),
            setupNewSecretStorage: true,
            setupNewKeyBackup: true,
        });
        return crypto.getActiveSessionBackupVersion();
    },

    // keys tells what the device holds: whose it is by its key, which backup it writes, and how many keys come back from that.
    async keys() {
        const crypto = client.getCrypto();
        const { ed25519 } = await crypto.getOwnDeviceKeys();
        const { imported } = await crypto.restoreKeyBackup();
        return { device: client.getDeviceId(), ed25519, backup: await crypto.getActiveSessionBackupVersion(), imported };
    },

    ownKey: async () => (await client.getCrypto().getOwnDeviceKeys()).ed25519,
    join: (room) => client.joinRoom(room),
    say: (room, body) => client.sendTextMessage(room, body),

    // read returns the messages of a room that were encrypted on their way and are decrypted here. It has a client whose
    // network was gone look again at once.
    async read(room) {
        client.retryImmediately();
        const events = client.getRoom(room)?.getLiveTimeline().getEvents() ?? [];
        await Promise.all(events.map((event) => client.decryptEventIfNeeded(event)));
        return events
            .filter((event) => event.isEncrypted() && !event.isDecryptionFailure() && event.getType() === "m.room.message" && event.getId().startsWith("$"))
            .map((event) => event.getContent().body);
    },

    // refresh has the client refresh in its own way, as often as it is told that its token has expired.
    async refresh(times) {
        for (let n = 0; n < times; n++) {
            const before = seen.refreshes;
            expires = true;
            await client.whoami();
            if (seen.refreshes === before) throw new Error("it did not refresh");
        }
    },

    // refreshByApp is what an app does on the legacy API.
    async refreshByApp(times) {
        for (let n = 0; n < times; n++) {
            const kept = load(localStorage, session);
            const answer = await client.refreshToken(kept.refreshToken);
            client.setAccessToken(answer.access_token);
            save(localStorage, session, { ...kept, accessToken: answer.access_token, refreshToken: answer.refresh_token });
            await client.whoami();
        }
    },

    kept: () => load(localStorage, session),
    seen: () => ({ ...seen, token: client?.getAccessToken() }),
    whoami: () => client.whoami(),
    start: (initialSyncLimit = 1) => client.startClient({ initialSyncLimit, pollTimeout: 1000 }),
    stop: () => client.stopClient(),
    logout: () => client.logout(true),
    // expired asks without the client, so that it does not refresh.
    async expired() {
        const { baseUrl } = load(localStorage, session);
        const answer = await fetch(`${baseUrl}/_matrix/client/v3/account/whoami`, { headers: { authorization: `Bearer ${client.getAccessToken()}` } });
        return answer.status === 401;
    },
};
