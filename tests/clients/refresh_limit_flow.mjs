// matrix-js-sdk whose access token expires more often than its session may refresh: it is told to wait,
// keeps its session, and goes on.
import { check, done, equal, ok, until } from "./checks.mjs";

const [base, password, sdk] = process.argv.slice(2);
const { createClient } = await import(sdk);
(await import(`${sdk}/lib/logger.js`)).logger.disableAll?.();

await check("an_sdk_that_refreshes_by_itself", async () => {
    const answer = await createClient({ baseUrl: base }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: "alice" },
        password,
        refresh_token: true,
        device_id: "TABLET",
    });
    const refreshes = { granted: 0, refused: 0 }, heard = [];
    const client = createClient({
        baseUrl: base, accessToken: answer.access_token, refreshToken: answer.refresh_token, userId: answer.user_id, deviceId: answer.device_id,
        tokenRefreshFunction: async (token) => {
            try {
                const got = await createClient({ baseUrl: base }).refreshToken(token);
                refreshes.granted++;
                return { accessToken: got.access_token, refreshToken: got.refresh_token, expiry: new Date(Date.now() + got.expires_in_ms) };
            } catch (error) {
                equal([error.httpStatus, error.httpHeaders?.has("retry-after")], [503, true], "the refusal of a refresh");
                refreshes.refused++;
                throw error;
            }
        },
    });
    client.on("Session.logged_out", (error) => heard.push(error.data.soft_logout));
    await until("the third refresh after one that was refused", async () => {
        await client.whoami().catch(() => {});
        return refreshes.refused > 0 && refreshes.granted >= 3;
    }, 60);
    await until("it goes on", () => client.whoami().then((who) => who.device_id === "TABLET", () => false));
    ok(heard.every((soft) => soft === true), `the app heard of hard logouts: ${heard}`);
});
done();
