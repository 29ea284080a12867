// matrix-js-sdk in a browser, today's API and the one before: sign-in on our pages, sync, refresh after
// expiry, two tabs that share a session, logout. Access tokens of the server must live for seconds.
import { consent, launch, signIn, visitor, watch } from "./browser.mjs";
import { aside, done, equal, ok, settled, until } from "./checks.mjs";
import { away, back, ready, serve } from "./client_site.mjs";

const [base, password, observer] = process.argv.slice(2);
const alice = { name: "alice", password };

const origin = await serve({ "/app": "sdk_page.mjs", "/old": "sdk41_page.mjs" });

async function devices() {
    const answer = await fetch(`${base}/_matrix/client/v3/devices`, { headers: { authorization: `Bearer ${observer}` } });
    return (await answer.json()).devices.map((device) => device.device_id);
}

const browser = await launch();

async function start(mode) {
    const page = await visitor(browser);
    await away(page, base, `${origin}/app`, { mode });
    await signIn(page, alice);
    await consent(page);
    const session = await back(page, `${origin}/app`);
    equal(session.who.device_id, session.asked, "the device");
    ok(session.scope.includes(`urn:matrix:client:device:${session.asked}`), `the scope is ${session.scope}`);
    equal(page.complaints.filter((line) => line.startsWith(base)), [], "what the browser complains of");
    await page.evaluate(() => window.app.open());
    return { page, session };
}

const seen = (page) => page.evaluate(() => window.app.seen());
const whoami = (page) => page.evaluate(() => window.app.whoami());
const expired = (page) => until("the expiry", () => page.evaluate(() => window.app.expired()));

async function logout({ page, session }) {
    await page.evaluate(() => window.app.logout());
    ok(!(await devices()).includes(session.asked), "the device is still at the homeserver");
}

aside("matrix-js-sdk 43 signs in by query, and its device is gone after the logout", async () => {
    const one = await start("query");
    equal((await whoami(one.page)).device_id, one.session.asked, "the device");
    ok((await devices()).includes(one.session.asked), "the device is not at the homeserver");
    await logout(one);
    await one.page.context().close();
});

aside("matrix-js-sdk 43 signs in by fragment, syncs and refreshes by itself", async () => {
    const one = await start("fragment");
    await one.page.evaluate(() => window.app.start());
    await until("three refreshes", async () => (await seen(one.page)).refreshes >= 3);
    const before = (await seen(one.page)).syncs;
    await until("more answers to its sync", async () => (await seen(one.page)).syncs > before + 1);
    equal((await seen(one.page)).loggedOut, false, "logged out");
    await logout(one);
    await one.page.context().close();
});

aside("two tabs that share a session refresh at once, and one logs both out", async () => {
    const one = await start("query");
    const first = one.page;
    const second = await first.context().newPage();
    watch(second);
    await second.goto(`${origin}/app`);
    await ready(second);
    await second.evaluate(() => window.app.open());
    for (let round = 1; round <= 3; round++) {
        await Promise.all([expired(first), expired(second)]);
        const both = await Promise.all([whoami(first), whoami(second)]);
        equal(both.map((who) => who.device_id), [one.session.asked, one.session.asked], `the devices of round ${round}`);
        ok((await seen(first)).token !== (await seen(second)).token, "the tabs did not refresh each by itself");
    }
    await logout(one);
    await expired(second);
    await whoami(second).then(
        () => ok(false, "the other tab is still in"),
        () => {},
    );
    await until("the other tab's end", async () => (await seen(second)).loggedOut);
    await first.context().close();
});

aside("a person who declines comes back with access_denied", async () => {
    const page = await visitor(browser);
    await away(page, base, `${origin}/app`, { mode: "fragment" });
    await signIn(page, alice);
    await consent(page, "Cancel");
    equal((await back(page, `${origin}/app`)).error, "access_denied", "the error");
    await page.context().close();
});

for (const mode of ["query", "fragment"]) {
    aside(`matrix-js-sdk 41.9 signs in by ${mode} without an ID token, refreshes, and its device is gone after both revocations`, async () => {
        const page = await visitor(browser);
        const redirectUri = await away(page, base, `${origin}/old`, { mode });
        await signIn(page, alice);
        await consent(page);
        const session = await back(page, `${origin}/old`, redirectUri);
        equal(session.idToken, null, "the ID token");
        ok(!session.scope.split(" ").includes("openid"), `the scope is ${session.scope}`);
        await until("two refreshes", async () => {
            equal((await whoami(page)).device_id, session.who.device_id, "the device");
            return (await seen(page)).refreshes >= 2;
        });
        equal(await page.evaluate((id) => window.app.logout(id), session.clientId), [200, 200], "the answers to the revocations");
        ok(!(await devices()).includes(session.who.device_id), "the device is still at the homeserver");
        await page.context().close();
    });
}

await settled();
await browser.close();
done();
