// matrix-js-sdk with Rust crypto in a browser, whose keys are in the browser's database, led by a test.
import { consent, consentHeading, launch, signIn, visitor } from "./browser.mjs";
import { until } from "./checks.mjs";
import { away, back, ready, serve } from "./client_site.mjs";
import { drive } from "./drive.mjs";

const [base, ...routes] = process.argv.slice(2);
const address = `${await serve({ "/app": "sdk_page.mjs" })}/app`;
const browser = await launch(...routes);
const page = await visitor(browser);
const app = (name, ...args) => page.evaluate(([name, args]) => window.app[name](...args), [name, args]);

// open has the page take up the session and the keys that the browser holds.
async function open() {
    await page.goto(address);
    await ready(page);
    await app("open");
    await app("encrypt");
    await app("start", 100);
}

async function reads(room, bodies) {
    let missing;
    await until(`${bodies.join(", ")} in the room`, async () => {
        const read = await app("read", room);
        missing = bodies.filter((body) => !read.includes(body));
        return missing.length === 0;
    }).catch(async (error) => {
        throw new Error(`${error.message}; missing ${missing}; told of ends: ${(await app("seen")).ends}; ${page.complaints.slice(-5).join("\n")}`);
    });
}

await drive({
    async signIn(name, password, deviceId) {
        await away(page, base, address, { mode: "query", deviceId });
        // Who is signed in at our pages, or has consented before, is not asked for that again.
        const field = page.getByRole("textbox", { name: "Username" });
        const returned = () => page.url().startsWith(`${address}?`);
        const asked = () => until("a question or an answer", async () => returned() || (await field.or(consentHeading(page)).count()) > 0);
        await asked();
        if ((await field.count()) > 0) {
            await signIn(page, { name, password });
            await field.waitFor({ state: "detached" });
            await asked();
        }
        if (!returned()) await consent(page);
        const { who } = await back(page, address);
        await open();
        return who.device_id;
    },
    async signInByPassword(name, password, deviceId) {
        await page.goto(address);
        await ready(page);
        const { device_id: device } = await app("signInByPassword", base, name, password, deviceId);
        await open();
        return device;
    },
    setUpKeyBackup: () => app("setUpKeyBackup"),
    keys: () => app("keys"),
    ownKey: () => app("ownKey"),
    kept: () => app("kept"),
    join: (room) => app("join", room).then(() => {}),
    // A client that has just been opened reads first: before the room has come it would not encrypt what is said there, and
    // Synapse may answer a first sync by what it answered to one some minutes ago.
    say: (room, body) => app("say", room, body).then(() => {}),
    reads,
    refresh: (times) => app("refresh", times),
    refreshByApp: (times) => app("refreshByApp", times),
    logOut: () => app("logout").then(() => {}),
    whoami: async () => (await app("whoami")).device_id,
    ends: async () => (await app("seen")).ends,
    async ended() {
        await until("the end", async () => {
            await app("whoami").catch(() => {}); // somebody looks at it
            return (await app("seen")).ends.length > 0;
        });
        return (await app("seen")).ends;
    },
    // rereads opens the page anew: all that was said comes again from the homeserver, and the keys from the browser.
    async rereads(room, bodies) {
        await app("stop");
        await open();
        await reads(room, bodies);
    },
});
await browser.close();
process.exit(0);
