// A person who answers a client's request on our pages, for clients that are no browsers themselves.
import { arrival, arrivals, consent, consentHeading, handOver, launch, signIn, visitor } from "./browser.mjs";
import { until } from "./checks.mjs";

const browser = await launch();
export const closeBrowser = () => browser.close();

// Who has signed in once is asked only for consent.
const contexts = new Map();

// answer sends somebody to the address of a request, and gives what the client gets.
export async function answer(url, who, origin, button = "Continue") {
    if (!contexts.has(who.name)) contexts.set(who.name, (await visitor(browser)).context());
    const page = await contexts.get(who.name).newPage();
    try {
        const visits = arrivals(page, origin);
        await page.goto(url.toString());
        const field = page.getByRole("textbox", { name: "Username" });
        // A consent that is remembered is not asked for again.
        const asked = () => until("a question or an answer", async () => visits.length > 0 || (await field.or(consentHeading(page)).count()) > 0);
        await asked();
        if ((await field.count()) > 0) {
            await signIn(page, who);
            await field.waitFor({ state: "detached" });
            await asked();
        }
        if (visits.length === 0) await consent(page, button);
        if (url.searchParams.get("response_mode") === "form_post") await handOver(page, visits);
        return await arrival(page, visits);
    } finally {
        await page.close();
    }
}

// unasked gives what comes of a request before anybody was asked: what a client that is known gets at
// once, and what follows the link of the page that others are shown.
export async function unasked(url, origin) {
    const page = await visitor(browser);
    try {
        const visits = arrivals(page, origin);
        const response = await page.goto(url.toString());
        if (visits.length > 0) return { atOnce: true, ...(await arrival(page, visits)) };
        const shown = { status: response.status(), text: await page.locator("body").innerText() };
        const way = page.getByRole("link").or(page.getByRole("button")).first();
        if ((await way.count()) === 0) return { atOnce: false, shown };
        await way.click();
        await until("the way back", () => visits.length > 0, 10);
        return { atOnce: false, shown, ...(await arrival(page, visits)) };
    } finally {
        await page.context().close();
    }
}
