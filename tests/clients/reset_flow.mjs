// Rust crypto in matrix-js-sdk replaces cross-signing keys: it is sent to our page, which a person walks
// through in a browser, and succeeds afterwards. Without the page it fails.
import { createClient } from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { launch, signIn, visitor } from "./browser.mjs";
import { answer, closeBrowser } from "./people.mjs";
import { check, done, equal, ok, refused, until } from "./checks.mjs";
import { authorize, exchange, origin } from "./example_chat.mjs";

logger.disableAll?.();
// How the keys may be replaced: by the page, or because an operator allowed it before.
const [base, name, password, way] = process.argv.slice(2);
const person = { name, password };
const action = "org.matrix.cross_signing_reset";

async function legacySession() {
    const got = await createClient({ baseUrl: base }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: name },
        password,
    });
    return { accessToken: got.access_token, userId: got.user_id, deviceId: got.device_id };
}

async function oauthSession() {
    const deviceId = `RESET${Math.random().toString(36).slice(2, 10).toUpperCase()}`;
    const { params } = await answer(authorize(base, deviceId), person, origin);
    const got = await exchange(base, params.get("code"));
    const { access_token: accessToken } = await got.json();
    const { user_id: userId } = await createClient({ baseUrl: base, accessToken }).whoami();
    return { accessToken, userId, deviceId };
}

async function start(session) {
    const client = createClient({ baseUrl: base, ...session });
    await client.initRustCrypto({ useIndexedDB: false });
    await client.startClient({ initialSyncLimit: 1 });
    await until("the first sync", () => client.isInitialSyncComplete());
    return client;
}

// reset makes new keys, as apps do. upload is told how to send them, and answers what is asked.
const reset = (client, upload) => client.getCrypto().bootstrapCrossSigning({ setupNewCrossSigning: true, authUploadDeviceSigningKeys: upload });

// demand is what the homeserver asks for before it takes other keys.
async function demand(send) {
    const error = await refused(send(null), "an upload of other keys");
    equal(error.httpStatus, 401, "the status");
    const stages = error.data.flows.map((flow) => flow.stages);
    ok(stages.some((one) => one.length === 1 && one[0] === action), `the flows are ${JSON.stringify(stages)}`); // XS-2
    const urls = [...new Set(stages.flat().map((stage) => error.data.params[stage].url))];
    equal(urls, [`${base}/account/?action=${action}`], "the address of the page");
    return { url: urls[0], session: error.data.session, stages: stages.flat() };
}

async function masterKey(client) {
    const { master_keys: keys } = await client.downloadKeysForUsers([client.getUserId()]);
    return Object.keys(keys[client.getUserId()].keys)[0];
}

const browser = await launch();

async function allow(url) {
    const page = await visitor(browser);
    await page.goto(url);
    if ((await page.getByRole("textbox", { name: "Username" }).count()) > 0) await signIn(page, person);
    await page.getByRole("heading", { name: "Reset your digital identity?" }).waitFor();
    ok((await page.locator("body").innerText()).includes(name), "the page does not say whose");
    await page.getByRole("button", { name: "Allow the reset" }).click();
    await page.getByRole("heading", { name: "Go back to your app" }).waitFor();
    equal(page.complaints, [], "what the browser complains of");
    await page.context().close();
}

const setUp = (client) => client.getCrypto().bootstrapCrossSigning({ authUploadDeviceSigningKeys: (send) => send(null) });

async function byPage(client) {
    await check("XS-5 the first keys, and the same again, need no leave", async () => {
        await setUp(client);
        const first = await client.downloadKeysForUsers([client.getUserId()]);
        const same = Object.fromEntries(["master", "self_signing", "user_signing"].map((kind) => [`${kind}_key`, first[`${kind}_keys`][client.getUserId()]]));
        await client.uploadDeviceSigningKeys(null, same);
    });
    const before = await masterKey(client);
    await check("XS-1 without the page the keys stay as they are", async () => {
        let asked;
        await refused(
            reset(client, async (send) => {
                asked = await demand(send);
                await send({ session: asked.session });
            }),
            "a reset without the page",
        );
        equal(await masterKey(client), before, "the key");
        for (const stage of asked.stages) { // XS-6
            const fallback = await fetch(`${base}/_matrix/client/v3/auth/${stage}/fallback/web?session=${asked.session}`, { redirect: "manual" });
            equal([fallback.status, fallback.headers.get("location")], [302, asked.url], "where the fallback leads");
        }
    });
    await check("XS-3 after the page they are replaced", async () => {
        await reset(client, async (send) => {
            const { url, session } = await demand(send);
            await allow(url);
            await send({ session });
        });
        ok((await masterKey(client)) !== before, "the key is the one of before");
        equal(await client.getCrypto().isCrossSigningReady(), true, "whether cross-signing is ready");
    });
    await check("XS-4 what was allowed once is not allowed again", async () => {
        const after = await masterKey(client);
        await reset(client, demand); // it is asked for the page again
        equal(await masterKey(client), after, "the key");
    });
}

const sessions = { legacy: legacySession, oauth: oauthSession };
if (way === "operator-before") {
    const client = await start(await legacySession());
    await check("the keys are set up, and cannot be replaced", async () => {
        await setUp(client);
        await reset(client, async (send) => {
            await demand(send);
            throw new Error("given up");
        }).then(
            () => ok(false, "they were"),
            (error) => equal(error.message, "given up", "the error"),
        );
    });
} else if (way === "operator-after") {
    const client = await start(await legacySession());
    await check("the keys are replaced without a page", async () => {
        const before = await masterKey(client);
        await reset(client, (send) => send(null));
        ok((await masterKey(client)) !== before, "the key is the one of before");
    });
} else {
    await byPage(await start(await sessions[way]()));
}
await browser.close();
await closeBrowser();
done();
