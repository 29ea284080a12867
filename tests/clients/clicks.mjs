// People who click twice, reload, and go back and forth, on a network that is slow or loses answers: their app
// gets its tokens all the same. And people who sign an app out: it is not in again without a question.
import { consentHeading, launch, signIn, visitor, arrivals } from "./browser.mjs";
import { check, done, equal, ok, until } from "./checks.mjs";
import { authorize, exchange, origin, redirectUri } from "./example_chat.mjs";
import { network } from "./network.mjs";

const [base, password] = process.argv.slice(2);
const alice = { name: "alice", password };
const net = await network(base);
const browser = await launch(net.route);
let devices = 0;

const request = (more = {}) => authorize(base, `CLICK${String(devices++).padStart(5, "0")}`, { state: "state", prompt: "consent", ...more }).href;

// client is the app: it exchanges each code that a browser brings, as soon as it comes, unless it is told to
// wait.
function client(page, waits = false) {
    const app = { visits: [], answers: [], waits };
    page.on("request", (request) => {
        if (!request.isNavigationRequest() || !request.url().startsWith(redirectUri)) return;
        const params = request.method() === "POST" ? new URLSearchParams(request.postData()) : new URL(request.url()).searchParams;
        app.visits.push(params);
        if (!app.waits && params.has("code")) app.answers.push(exchange(base, params.get("code")));
    });
    // came waits until the browser has come and shows the app. If it was called away on its way there by one
    // more click, and the app had its tokens by then, it shows that all is done.
    app.came = async (times = 1) => {
        await until("the arrival at the app", () => app.visits.length >= times, 20);
        const shown = page.getByRole("heading", { name: "client", exact: true });
        await (app.answers.length > 0 ? shown.or(signedIn(page)) : shown).waitFor();
        equal(new Set(app.visits.map((params) => params.get("code"))).size, 1, "the number of codes");
        equal(app.visits.map((params) => [params.get("state"), params.get("error")]), app.visits.map(() => ["state", null]), "what came");
    };
    // works exchanges what came if that has not been done, and uses the tokens.
    app.works = async () => {
        if (app.answers.length === 0) app.answers.push(exchange(base, app.visits[0].get("code")));
        const [first, ...others] = await Promise.all(app.answers);
        equal(first.status, 200, "the answer to the first exchange");
        equal(others.map((answer) => answer.status), others.map(() => 400), "the answers to those after it");
        const tokens = await first.json();
        const who = await fetch(`${base}/_matrix/client/v3/account/whoami`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
        equal(who.status, 200, "whoami");
        return tokens;
    };
    return app;
}

// consented is a browser in which somebody signed in to the app and consented.
async function consented() {
    const page = await someone();
    const app = client(page);
    await page.goto(request());
    await signIn(page, alice);
    await consentHeading(page).waitFor();
    await page.getByRole("button", { name: "Continue", exact: true }).click();
    await app.came();
    return { page, app };
}

// clicks clicks several times on a button as a hand does, whatever becomes of the page meanwhile.
async function clicks(page, name, times, gap) {
    const button = page.getByRole("button", { name, exact: true });
    await button.scrollIntoViewIfNeeded();
    const { x, y, width, height } = await button.boundingBox();
    for (let i = 0; i < times; i++) {
        if (i > 0) await new Promise((resolve) => setTimeout(resolve, gap));
        await page.mouse.click(x + width / 2, y + height / 2, { clickCount: i + 1 });
    }
}

const signedIn = (page) => page.getByRole("heading", { name: "You are signed in" });

async function fillIn(page) {
    await page.getByRole("textbox", { name: "Username" }).fill(alice.name);
    await page.getByRole("textbox", { name: "Password" }).fill(alice.password);
}

// someone visits, with a network as it is meant.
async function someone(latency = 0) {
    net.latency = latency;
    net.losing = undefined;
    return visitor(browser);
}

for (const latency of [0, 100, 400]) {
    for (const [times, gap] of [[2, 0], [2, 60], [3, 150]]) {
        await check(`${times} clicks ${gap} ms apart on everything, ${latency} ms away`, async () => {
            const page = await someone(latency);
            const app = client(page);
            await page.goto(request());
            await fillIn(page);
            await clicks(page, "Continue", times, gap);
            await consentHeading(page).waitFor();
            await clicks(page, "Continue", times, gap);
            await app.came();
            await app.works();
            await page.context().close();
        });
    }
    await check(`two clicks, and nothing is asked, ${latency} ms away`, async () => {
        const page = await someone(latency);
        const app = client(page);
        await page.goto(request({ prompt: undefined }));
        await fillIn(page);
        await clicks(page, "Continue", 2, 30);
        await app.came();
        await app.works();
        await page.context().close();
    });
    await check(`two clicks on Cancel, ${latency} ms away`, async () => {
        const page = await someone(latency);
        const app = client(page);
        await page.goto(request());
        await signIn(page, alice);
        await consentHeading(page).waitFor();
        await clicks(page, "Cancel", 2, 30);
        await until("the arrival at the app", () => app.visits.length > 0, 20);
        await page.getByRole("heading", { name: "client", exact: true }).waitFor();
        equal(app.visits.map((params) => [params.get("error"), params.has("code")]), app.visits.map(() => ["access_denied", false]), "what came");
        await page.context().close();
    });
    await check(`two clicks, by form_post, ${latency} ms away`, async () => {
        const page = await someone(latency);
        const app = client(page);
        await page.goto(request({ response_mode: "form_post" }));
        await signIn(page, alice);
        await consentHeading(page).waitFor();
        await clicks(page, "Continue", 2, 30);
        await app.came();
        await app.works();
        await page.context().close();
    });
}

// again has a person do what people do in front of a browser's own error page: reload, or go to its address.
async function again(page, failed, step) {
    await page.waitForURL(/^chrome-error:/, { timeout: 5000 }).catch(() => {});
    const broken = async () => (await page.locator("#main-frame-error").count()) > 0;
    if (await broken()) await page.reload().catch(() => {});
    if (!(await broken())) return;
    await page.goto(failed.at(-1));
    await step();
}

for (const lose of [1, 4]) {
    for (const [step, match] of [["the page of consent", /^GET \/account\/consent/], ["the answer to a consent", /^POST \/account\/consent/], ["the answer to a sign-in", /^POST \/account\/login/]]) {
        await check(`${step} is lost ${lose} times`, async () => {
            const page = await someone();
            const app = client(page);
            const failed = [];
            page.on("requestfailed", (request) => request.isNavigationRequest() && failed.push(request.url()));
            await page.goto(request());
            await fillIn(page);
            const lost = net.lost;
            const signsIn = match.test("POST /account/login") || match.test("GET /account/consent");
            if (signsIn) net.lose(lose, match);
            await page.getByRole("button", { name: "Continue", exact: true }).click({ noWaitAfter: true });
            if (signsIn) {
                await until("the lost answers", () => net.lost > lost, 20);
                net.losing.count = 0;
                await again(page, failed, async () => {
                    const field = page.getByRole("textbox", { name: "Username" });
                    await field.or(consentHeading(page)).waitFor();
                    if ((await field.count()) > 0) await signIn(page, alice);
                });
            }
            await consentHeading(page).waitFor();
            if (!signsIn) net.lose(lose, match);
            await page.getByRole("button", { name: "Continue", exact: true }).click({ noWaitAfter: true });
            if (!signsIn) {
                await until("the lost answers", () => net.lost > lost, 20);
                net.losing.count = 0;
                await again(page, failed, async () => {}); // its address leads to the app
            }
            await app.came();
            await app.works();
            await page.context().close();
        });
    }
}

await check("the page of a remembered consent is lost, and the person reloads", async () => {
    const { page, app } = await consented();
    const next = client(page);
    app.waits = true;
    const lost = net.lost;
    net.lose(8, /^GET \/account\/consent/);
    const failed = [];
    page.on("requestfailed", (request) => failed.push(request.url()));
    await page.goto(request({ prompt: undefined })).catch(() => {});
    ok(net.lost > lost && failed.length > 0 && next.visits.length === 0, "nothing was lost");
    net.lose(0, /./);
    await page.waitForURL(/^chrome-error:/);
    await page.goto(failed.at(-1)); // the address that the browser's error page reloads
    await next.came();
    await next.works();
    await page.context().close();
});

await check("reload, back and forward at each step", async () => {
    const page = await someone(20);
    const app = client(page, true);
    await page.goto(request());
    await page.reload();
    await signIn(page, alice);
    await consentHeading(page).waitFor();
    await page.reload();
    await consentHeading(page).waitFor();
    await page.goBack(); // the sign-in, which leads on at once
    await consentHeading(page).waitFor();
    await page.goForward();
    await consentHeading(page).waitFor();
    await page.getByRole("button", { name: "Continue", exact: true }).click();
    await app.came();
    await page.reload();
    await app.came(2);
    await page.goBack(); // the page of consent, which leads to the app again
    await app.came(3);
    await page.goForward();
    await app.came(4);
    await app.works();
    // Now there is nothing to send any more, and the person is told so.
    await page.goBack(); // the app, to which the page of consent led
    await page.goBack();
    await signedIn(page).waitFor();
    const visits = app.visits.length;
    await page.reload();
    await signedIn(page).waitFor();
    equal([page.complaints, app.visits.length], [[], visits], "what the browser complains of, and the visits");
    await page.getByRole("link", { name: "Go to Example Chat" }).click();
    await page.getByRole("heading", { name: "client", exact: true }).waitFor();
    equal(page.url(), `${origin}/`, "where the link leads");
    await page.context().close();
});

for (const where of ["the sign-in", "the question"]) {
    await check(`back after Cancel at ${where}`, async () => {
        const page = await someone();
        const visits = arrivals(page, origin);
        await page.goto(request());
        if (where === "the question") {
            await signIn(page, alice);
            await consentHeading(page).waitFor();
        }
        await clicks(page, "Cancel", 2, 30);
        await page.getByRole("heading", { name: "client", exact: true }).waitFor();
        const before = visits.length;
        await page.goBack();
        await until("one more arrival", () => visits.length > before, 20);
        ok(page.url().includes("error=access_denied"), page.url());
        await page.context().close();
    });
}

// The ways in which an app that somebody is signed in to is signed out, or its consent taken back. It has to
// ask again after each, and prompt=none does not let it in.
const ways = {
    "Sign out on the account page": async (page, app) => {
        await page.goto(`${base}/account/`);
        await page.getByRole("listitem").filter({ hasText: app.device }).getByRole("button", { name: "Sign out", exact: true }).click();
        await page.getByRole("heading", { name: "Sign out this session?" }).waitFor();
        await page.getByRole("button", { name: "Sign out", exact: true }).click();
        await page.getByRole("status").waitFor();
    },
    "Withdraw on the account page": async (page) => {
        await page.goto(`${base}/account/`);
        await clicks(page, "Withdraw", 2, 30);
        await page.getByRole("heading", { name: "The app has to ask again" }).waitFor();
        await page.getByRole("link", { name: "Go to your account" }).click();
        await page.getByRole("heading", { name: "Apps and devices" }).waitFor();
        equal(await page.getByRole("heading", { name: "Apps that need not ask" }).count(), 0, "the section of what was withdrawn");
    },
    "the app's logout": async (_, app) => {
        const answer = await fetch(`${base}/_matrix/client/v3/logout`, { method: "POST", headers: { authorization: `Bearer ${app.tokens.access_token}` } });
        equal(answer.status, 200, "the answer to logout");
    },
    "a revocation": async (_, app) => {
        const answer = await fetch(`${base}/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token: app.tokens.refresh_token }) });
        equal(answer.status, 200, "the answer to a revocation");
    },
};
for (const [way, take] of Object.entries(ways)) {
    await check(`after ${way} the app asks again`, async () => {
        const page = await someone();
        const first = client(page);
        const asked = request();
        first.device = new URL(asked).searchParams.get("scope").split(":").at(-1);
        await page.goto(asked);
        await signIn(page, alice);
        await consentHeading(page).waitFor();
        await page.getByRole("button", { name: "Continue", exact: true }).click();
        await first.came();
        first.tokens = await first.works();
        // It need not ask, until then.
        first.waits = true;
        const second = client(page, true);
        await page.goto(request({ prompt: "none" }));
        await second.came();
        await take(page, first);
        second.visits.length = 0;
        await page.goto(request({ prompt: "none" }));
        await until("the arrival at the app", () => second.visits.length > 0, 20);
        equal(second.visits.at(-1).get("error"), "consent_required", "what prompt=none gives");
        await page.goto(request({ prompt: undefined }));
        await consentHeading(page).waitFor();
        await page.context().close();
    });
}

// A browser that guesses: Chromium fetches what the rules of a page tell it to.
await check("a browser that fetches pages before anybody goes there spoils nothing", async () => {
    const { page, app } = await consented();
    const session = await page.context().request.get(request({ prompt: undefined }), { maxRedirects: 0 });
    const address = new URL(session.headers().location, base).href;
    app.visits.length = app.answers.length = 0;
    for (const headers of [{ "sec-purpose": "prefetch;prerender" }, { purpose: "prefetch" }]) {
        const guess = await page.context().request.get(address, { headers, maxRedirects: 0 });
        equal([guess.status(), guess.headers().location], [425, undefined], "the answer to a guess");
    }
    const head = await page.context().request.head(address, { maxRedirects: 0 });
    equal([head.status(), head.headers().location], [200, undefined], "the answer to HEAD");
    await page.goto(address);
    await app.came();
    await app.works();
    await page.context().close();
});

await browser.close();
done();
