// Strangers guess at alice's password, and alice signs in where she is known: in a browser in which she did
// before, and from a network in which an app of hers is in use. Forwarded addresses say who is where.
import { launch, signIn, visitor } from "./browser.mjs";
import { check, done, equal, ok } from "./checks.mjs";

const [site, password, bobsPassword] = process.argv.slice(2);
const home = "2001:db8:aaaa:1::10", hotel = "198.51.100.200";
const alice = { name: "alice", password }, bob = { name: "bob", password: bobsPassword };
const browser = await launch();

function login(from, user, secret) {
    return fetch(`${site}/_matrix/client/v3/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Forwarded-For": from },
        body: JSON.stringify({ type: "m.login.password", identifier: { type: "m.id.user", user }, password: secret }),
    });
}

async function browserAt(from) {
    const page = await visitor(browser, { extraHTTPHeaders: { "X-Forwarded-For": from } });
    await page.goto(`${site}/account/login`);
    return page;
}

async function arrive(page, who) {
    await page.goto(`${site}/account/login`);
    await signIn(page, who);
    await page.waitForURL(`${site}/account/`);
    ok((await page.locator("body").innerText()).includes(`@${who.name}:`), `the account page does not name ${who.name}`);
}

async function leave(page) {
    await page.locator(`form[action$="/account/logout"] button`).first().click();
    await page.waitForURL(`${site}/account/signed-out`);
}

const device = async (page) => (await page.context().cookies()).find((cookie) => cookie.name === "matrix_auth_device");

// strangers guess from six addresses until each is told to wait.
async function strangers() {
    let guesses = 0;
    for (let i = 1; i <= 6; i++) {
        for (;;) {
            const response = await login(`203.0.113.${i}`, "alice", "wrong");
            if (response.status === 429) break;
            equal(response.status, 403, "the status of a guess");
            ok(++guesses <= 40, "strangers may guess without end");
        }
    }
    return guesses;
}

const known = await browserAt(home);

await check("she signs in in a browser, and by an app at home", async () => {
    await arrive(known, alice);
    const cookie = await device(known);
    ok(cookie?.httpOnly && cookie.sameSite === "Lax" && /^[0-9A-Za-z]{30}$/.test(cookie.value), `the cookie is ${JSON.stringify(cookie)}`);
    await leave(known);
    equal((await device(known))?.value, cookie.value, "the device cookie after the sign-out");
    equal((await login(home, "alice", password)).status, 200, "the login of an app");
});

await check("strangers have one rate in all", async () => {
    const guesses = await strangers();
    ok(guesses >= 10 && guesses <= 20, `${guesses} guesses passed`);
});

await check("she gets in by the login API at home, and nobody from elsewhere", async () => {
    equal((await login(home, "alice", password)).status, 200, "the login at home");
    equal((await login("2001:db8:aaaa:1:ffff::2", "alice", password)).status, 200, "the login in the same network");
    await strangers();
    const refused = await login(hotel, "alice", password);
    equal([refused.status, refused.headers.has("Retry-After"), (await refused.json()).errcode], [429, true, "M_LIMIT_EXCEEDED"], "the login at a hotel");
});

await check("she gets in by another browser at home", async () => {
    const page = await browserAt(home);
    await strangers();
    await arrive(page, alice);
    await page.context().close();
});

await check("another browser at a hotel is told to wait", async () => {
    const page = await browserAt(hotel);
    await strangers();
    await signIn(page, alice);
    await page.getByText("That was too many tries.").waitFor();
    await page.context().close();
});

await check("she gets in at the hotel by the browser in which she signed in before", async () => {
    await known.context().setExtraHTTPHeaders({ "X-Forwarded-For": hotel });
    await strangers();
    await arrive(known, alice);
    await leave(known);
});

await check("still after somebody else signed in there", async () => {
    await known.context().setExtraHTTPHeaders({ "X-Forwarded-For": home });
    await arrive(known, bob);
    await leave(known);
    equal((await device(known)).value.split(".").length, 2, "the number of accounts in the cookie");
    await known.context().setExtraHTTPHeaders({ "X-Forwarded-For": "198.51.100.201" });
    await strangers();
    await arrive(known, alice);
});

await check("the cookie alone opens nothing", async () => {
    const cookie = await device(known);
    const thief = await visitor(browser, { extraHTTPHeaders: { "X-Forwarded-For": "198.51.100.202" } });
    await thief.context().addCookies([cookie]);
    await thief.goto(`${site}/account/`);
    await thief.getByRole("textbox", { name: "Username" }).waitFor();
    equal(new URL(thief.url()).pathname, "/account/login", "the page that a thief is shown");
});

await browser.close();
done();
