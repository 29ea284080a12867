// The legacy path of matrix-js-sdk over a network that loses the first request with each refresh token: the
// access token expires, the client is told so and keeps its session, refreshes once the network lets it, and goes on.
// The last argument names the package: one that refreshes by itself on this path, or one whose app must.
import { check, done, equal, ok, refused, until } from "./checks.mjs";

const [base, network, password, sdk] = process.argv.slice(2);
const { createClient } = await import(sdk);
(await import(`${sdk}/lib/logger.js`)).logger.disableAll?.();

const signIn = (deviceId) =>
    createClient({ baseUrl: base }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: "alice" },
        password,
        refresh_token: true,
        device_id: deviceId,
    });

// app is what an app makes of the events of its client: it destroys its keys only upon a hard logout.
function app(answer, more) {
    const client = createClient({
        baseUrl: network, accessToken: answer.access_token, refreshToken: answer.refresh_token,
        userId: answer.user_id, deviceId: answer.device_id, ...more,
    });
    const heard = [];
    client.on("Session.logged_out", (error) => heard.push(error.data.soft_logout === true ? "soft" : "hard"));
    return { client, heard };
}

const expiry = async (client) =>
    until("the access token expires", async () => {
        try {
            await client.whoami();
            return undefined;
        } catch (error) {
            return error;
        }
    });

async function byItself() {
    const answer = await signIn("TABLET");
    let asked = 0;
    const { client, heard } = app(answer, {
        tokenRefreshFunction: async (token) => {
            asked++;
            const got = await createClient({ baseUrl: network }).refreshToken(token);
            return { accessToken: got.access_token, refreshToken: got.refresh_token, expiry: new Date(Date.now() + got.expires_in_ms) };
        },
    });
    const error = await expiry(client);
    equal(error.name, "TokenRefreshError", "the error of the lost refresh");
    equal((await client.whoami()).device_id, "TABLET", "the device");
    equal([asked, heard], [2, []], "refreshes, and what the app heard");
}

if (sdk === "matrix-js-sdk-41") {
    await check("an_sdk_that_refreshes_by_itself", byItself);
    done();
}

const alice = await signIn("ALICEPHONE");
await check("a_lost_refresh_keeps_the_session", async () => {
    const { client, heard } = app(alice);
    const error = await expiry(client);
    equal([error.errcode, error.data.soft_logout, error.httpStatus], ["M_UNKNOWN_TOKEN", true, 401], "the refusal");
    equal(heard, ["soft"], "what the app heard");
    const lost = await refused(client.refreshToken(alice.refresh_token), "the lost refresh");
    ok(lost.errcode === undefined, `the refresh was answered: ${lost}`);
    equal((await refused(client.whoami(), "the expired token")).data.soft_logout, true, "soft_logout after the lost refresh");
    const fresh = await client.refreshToken(alice.refresh_token);
    client.setAccessToken(fresh.access_token);
    equal((await client.whoami()).device_id, "ALICEPHONE", "the device");
    equal(heard, ["soft", "soft"], "what the app heard in all");
    alice.access_token_now = fresh.access_token;
});

await check("the_end_of_the_session_is_hard", async () => {
    const { client, heard } = app(alice);
    // Also for the token that had expired before.
    equal((await refused(client.whoami(), "the expired token")).data.soft_logout, true, "soft_logout before");
    const current = await createClient({ baseUrl: base }).refreshToken(alice.refresh_token).catch(() => undefined);
    const live = createClient({ baseUrl: base, accessToken: current?.access_token ?? alice.access_token_now });
    await live.logout();
    const error = await refused(client.whoami(), "the token of an ended session");
    equal([error.errcode, error.data.soft_logout === true], ["M_UNKNOWN_TOKEN", false], "the refusal");
    equal(heard, ["soft", "hard"], "what the app heard");
    equal((await refused(createClient({ baseUrl: base }).refreshToken(alice.refresh_token), "the refresh token")).errcode, "M_UNKNOWN_TOKEN");
});
done();
