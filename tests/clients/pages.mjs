// Our pages in a browser: by keyboard alone, without script, judged by axe-core in light, dark and
// narrow, and photographed if a directory is named.
import { arrival, arrivals, consent, consentHeading, handOver, launch, signIn, visitor } from "./browser.mjs";
import { aside, check, done, equal, ok, settled } from "./checks.mjs";
import { authorize, exchange, origin, redirectUri } from "./example_chat.mjs";
import { judge as judgePage, tabTo as tabToTarget, views } from "./look.mjs";

// Alice's account is looked at and photographed, Dave's devices are signed out, Bob does everything else.
const [base, alicePassword, bobPassword, carolPassword, davePassword, lockedPassword, album] = process.argv.slice(2);
const alice = { name: "alice", password: alicePassword };
const bob = { name: "bob", password: bobPassword };
const carol = { name: "carol", password: carolPassword };
const dave = { name: "dave", password: davePassword };
const locked = { name: "locked", password: lockedPassword };
let devices = 0;

const request = (more = {}) => authorize(base, `PAGES${String(devices++).padStart(5, "0")}`, { state: "s t+a&t=e", prompt: "consent", ...more }).href;

// register has a client register itself, as anybody can.
async function register(more = {}) {
    const answer = await fetch(`${base}/oauth2/registration`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
            client_name: "Example Chat",
            client_uri: `${origin}/`,
            redirect_uris: [redirectUri],
            token_endpoint_auth_method: "none",
            grant_types: ["authorization_code", "refresh_token"],
            tos_uri: `${origin}/terms`,
            policy_uri: `${origin}/privacy`,
            ...more,
        }),
    });
    return answer.json();
}

const browser = await launch();
const { client_id: strange } = await register();
const judge = (page, name, view) => judgePage(page, name, view, album);
const tabTo = (page, role, name) => tabToTarget(page, page.getByRole(role, { name, exact: true }).first());

// takeUp makes a session of what a client got.
async function takeUp({ params }) {
    const answer = await exchange(base, params.get("code"));
    equal(answer.status, 200, "the answer to the code");
}

aside("axe-core finds nothing on the pages in German, and they are in German", async () => {
    const page = await visitor(browser, { ...views.light, locale: "de-DE" });
    await page.goto(request());
    equal(await page.evaluate(() => document.documentElement.lang), "de", "the language");
    await judge(page, "sign-in-german", "light");
    await page.context().close();
});

aside("the flow goes by keyboard alone", async () => {
    const page = await visitor(browser, views.light);
    const visits = arrivals(page, origin);
    await page.goto(request());
    await tabTo(page, "textbox", "Username");
    await page.keyboard.type(bob.name);
    await tabTo(page, "textbox", "Password");
    await page.keyboard.type(bob.password);
    await tabTo(page, "button", "Continue");
    await page.keyboard.press("Enter");
    await consentHeading(page).waitFor();
    await tabTo(page, "button", "Continue");
    await page.keyboard.press("Space");
    const came = await arrival(page, visits);
    const { params } = came;
    equal([params.get("state"), params.get("iss"), params.has("code")], ["s t+a&t=e", `${base}/`, true], "the answer");
    await takeUp(came);

    await page.goto(`${base}/account/`);
    await tabTo(page, "link", "Skip to the content");
    await page.keyboard.press("Enter");
    await tabTo(page, "button", "Sign out");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Sign out this session?" }).waitFor();
    await tabTo(page, "button", "Sign out");
    await page.keyboard.press("Enter");
    await page.getByRole("status").waitFor();
    await page.context().close();
});

for (const mode of ["query", "fragment", "form_post"]) {
    aside(`the flow goes without script, by ${mode}`, async () => {
        const page = await visitor(browser, { javaScriptEnabled: false });
        const visits = arrivals(page, origin);
        await page.goto(request({ response_mode: mode }));
        await signIn(page, bob);
        await consent(page);
        if (mode === "form_post") await handOver(page, visits);
        const { params, method } = await arrival(page, visits);
        equal([method, params.get("state"), params.has("code")], [mode === "form_post" ? "POST" : "GET", "s t+a&t=e", true], "the answer");
        await page.context().close();
    });
}

aside("who is signed in is asked only for consent, and can say that it is somebody else", async () => {
    const page = await visitor(browser, views.light);
    const visits = arrivals(page, origin);
    await page.goto(request());
    await signIn(page, bob);
    await consent(page);
    await arrival(page, visits);
    await page.goto(request());
    await consentHeading(page).waitFor();
    ok((await page.locator("body").innerText()).includes("bob"), "the page does not say as whom");
    ok((await page.locator("body").innerText()).includes("chat.example.com"), "the page does not say for whom");
    await page.getByRole("button", { name: "Not you?" }).or(page.getByRole("link", { name: "Not you?" })).click();
    await page.getByRole("textbox", { name: "Username" }).waitFor();
    await signIn(page, bob);
    await consent(page);
    await arrival(page, visits, 1);
    await page.context().close();
});

aside("a consent to a web client is remembered, and one to go back to a loopback address is not", async () => {
    const page = await visitor(browser, views.light);
    const visits = arrivals(page, origin);
    await page.goto(request());
    await signIn(page, bob);
    await consent(page);
    await arrival(page, visits);
    await page.goto(request({ prompt: undefined }));
    await arrival(page, visits, 1);
    const local = "http://127.0.0.1/callback";
    const answer = await register({ application_type: "native", redirect_uris: [local] });
    for (let i = 0; i < 2; i++) {
        await page.goto(request({ client_id: answer.client_id, redirect_uri: local, prompt: undefined }));
        await consentHeading(page).waitFor();
    }
    await page.context().close();
});

aside("who is locked is told so, and goes back to the app or on as somebody else", async () => {
    const page = await visitor(browser, views.light);
    const visits = arrivals(page, origin);
    await page.goto(request());
    await signIn(page, { ...locked, name: ` ${locked.name} ` });
    await page.getByRole("heading", { name: "This account is locked" }).waitFor();
    ok((await page.locator("body").innerText()).includes("@locked:"), "the page does not say whose account it is");
    await page.getByRole("button", { name: "Not you?" }).click();
    await signIn(page, bob);
    await consent(page);
    await arrival(page, visits);
    const other = await visitor(browser, views.light);
    const returns = arrivals(other, origin);
    await other.goto(request());
    await signIn(other, locked);
    await other.getByRole("button", { name: "Back to the app" }).click();
    equal((await arrival(other, returns)).params.get("error"), "access_denied", "the error");
    await page.context().close();
    await other.context().close();
});

aside("all other browsers are signed out at once", async () => {
    const [page, other] = [await visitor(browser, views.light), await visitor(browser, views.light)];
    for (const one of [page, other]) {
        await one.goto(`${base}/account/browsers`);
        await signIn(one, carol);
        await one.getByRole("heading", { name: "Browsers" }).waitFor();
    }
    await page.reload();
    await page.getByRole("button", { name: "Sign out all other browsers" }).click();
    await page.getByRole("heading", { name: "Sign out all other browsers?" }).waitFor();
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await page.getByRole("status").waitFor();
    await other.reload();
    await other.getByRole("textbox", { name: "Username" }).waitFor();
    await page.context().close();
    await other.context().close();
});

aside("the account pages go without script: their navigation, a name for a device, and signing out several", async () => {
    const page = await visitor(browser, { javaScriptEnabled: false });
    await page.goto(`${base}/account/browsers`);
    await signIn(page, dave);
    await page.getByRole("heading", { name: "Browsers", level: 1 }).waitFor();
    const navigation = page.getByRole("navigation", { name: "Your account" });
    equal(await navigation.locator("[aria-current=page]").innerText(), "Browsers", "what the navigation marks");
    await navigation.getByRole("link", { name: "Apps and devices" }).click();
    const line = (name) => page.getByRole("listitem").filter({ has: page.getByRole("heading", { name }) });
    for (const [device, name] of [["Laptop", "Old laptop"], ["Tablet", "Kitchen tablet"]]) {
        await line(device).getByRole("link", { name: "Rename" }).click();
        await page.getByRole("textbox", { name: "Name" }).fill(name);
        await page.getByRole("button", { name: "Save" }).click();
        await page.getByRole("status").waitFor();
    }
    for (const name of ["Old laptop", "Phone"]) await page.getByRole("checkbox", { name }).check();
    await page.getByRole("button", { name: "Sign out selected apps" }).click();
    await page.getByRole("heading", { name: "Sign out these apps?" }).waitFor();
    ok((await page.locator("main").innerText()).includes("Old laptop"), "the page does not say what is signed out");
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await page.getByRole("status").waitFor();
    equal(await page.getByRole("heading", { level: 2 }).allInnerTexts(), ["Kitchen tablet"], "what is still signed in");
    await page.getByRole("button", { name: "Sign out of these pages" }).click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    await page.context().close();
});

aside("two requests in two tabs of one browser both come to their end", async () => {
    const first = await visitor(browser, views.light);
    const visits = arrivals(first, origin);
    await first.goto(request({ state: "first" }));
    const second = await first.context().newPage();
    const others = arrivals(second, origin);
    await second.goto(request({ state: "second" }));
    await signIn(first, bob);
    await consentHeading(first).waitFor();
    await signIn(second, bob);
    await consent(second);
    equal((await arrival(second, others)).params.get("state"), "second", "the state");
    await consent(first);
    equal((await arrival(first, visits)).params.get("state"), "first", "the state");
    await first.context().close();
});

for (const [view, options] of Object.entries(views)) {
    await check(`axe-core finds nothing on any page, ${view}`, async () => {
        const page = await visitor(browser, { ...options, reducedMotion: "reduce", locale: "en-US" });
        const visits = arrivals(page, origin);
        await page.goto(request());
        await judge(page, "sign-in", view);
        await page.goto(request({ client_id: strange, response_type: "token" }));
        page.complaints.length = 0;
        await judge(page, "request-refused", view);
        await page.goto(request());
        await signIn(page, { ...alice, password: "wrong" });
        await page.getByRole("alert").waitFor();
        page.complaints.length = 0; // the status of the answer, which is right
        await judge(page, "sign-in-refused", view);
        await signIn(page, alice);
        await consentHeading(page).waitFor();
        page.complaints.length = 0;
        await judge(page, "consent", view);
        const asked = page.url();
        await consent(page);
        await takeUp(await arrival(page, visits));
        page.complaints.length = 0;
        await page.goto(asked);
        await page.getByRole("heading", { name: "You are signed in" }).waitFor();
        await judge(page, "signed-in", view);
        await page.goto(request({ client_id: strange }));
        await judge(page, "consent-of-a-stranger", view);
        await page.goto(request({ client_id: "nobody" }));
        page.complaints.length = 0;
        await judge(page, "unknown-client", view);
        await page.goto(`${base}/account/`);
        await page.getByRole("heading", { name: "Apps and devices" }).waitFor();
        await page.getByRole("heading", { name: "Apps that need not ask" }).waitFor();
        await judge(page, "account", view);
        await page.getByRole("button", { name: "Sign out all apps" }).click();
        await page.getByRole("heading", { name: "Sign out all apps?" }).waitFor();
        await judge(page, "end-all-apps", view);
        await page.getByRole("link", { name: "Cancel" }).click();
        for (const box of (await page.getByRole("checkbox").all()).slice(0, 2)) await box.check();
        await page.getByRole("button", { name: "Sign out selected apps" }).click();
        await page.getByRole("heading", { name: "Sign out these apps?" }).waitFor();
        await judge(page, "end-selected-apps", view);
        await page.getByRole("link", { name: "Cancel" }).click();
        await page.getByRole("link", { name: "Rename" }).first().click();
        await page.getByRole("heading", { name: "Name this device" }).waitFor();
        await judge(page, "rename", view);
        const sections = await page.getByRole("navigation", { name: "Your account" }).getByRole("link").evaluateAll((links) => links.map((link) => link.href));
        ok(sections.length >= 4, "there is no navigation");
        for (const section of sections.filter((address) => !address.endsWith("/account/"))) {
            await page.goto(section);
            await judge(page, `account-${section.split("/").at(-1)}`, view);
        }
        await page.goto(`${base}/account/?action=org.matrix.cross_signing_reset`);
        await judge(page, "reset", view);
        await page.getByRole("button", { name: "Allow the reset" }).click();
        await page.getByRole("heading", { name: "Go back to your app" }).waitFor();
        await judge(page, "reset-allowed", view);
        await page.goto(`${base}/account/nope`);
        await page.getByRole("heading", { name: "Page not found" }).waitFor();
        page.complaints.length = 0;
        await judge(page, "not-found", view);
        await page.getByRole("link", { name: "Go to your account" }).click();
        await page.getByRole("button", { name: "Sign out", exact: true }).first().click();
        await page.getByRole("heading", { name: "Sign out this session?" }).waitFor();
        await judge(page, "end-session", view);
        await page.getByRole("button", { name: "Sign out", exact: true }).click();
        await page.getByRole("status").waitFor();
        await judge(page, "account-after-sign-out", view);
        await page.goto(`${base}/account/browsers`);
        await page.getByRole("listitem").filter({ hasText: "this browser" }).getByRole("button", { name: "Sign out" }).click();
        await page.getByRole("heading", { name: "You are signed out" }).waitFor();
        await judge(page, "signed-out", view);
        await page.goto(request());
        await signIn(page, locked);
        await page.getByRole("heading", { name: "This account is locked" }).waitFor();
        page.complaints.length = 0;
        await judge(page, "locked", view);
        await page.context().close();
    });
}

await settled();
await browser.close();
done();
