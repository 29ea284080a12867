// A headless Chromium that goes through our pages as a person does: by the names of what it sees.
import { chromium } from "playwright-core";
import { until } from "./checks.mjs";

const flags = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

// launch starts a browser with a new profile. routes send it elsewhere than where an address leads.
export function launch(...routes) {
    return launchWith([], ...routes);
}

// launchWith starts one with more flags.
export function launchWith(more, ...routes) {
    // Every client's site is the one of the test.
    const rules = [`MAP *.example.com ${process.env.CLIENT_SITE}`, ...routes].join(", ");
    return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: [...flags, ...more, `--host-resolver-rules=${rules}`] });
}

// visitor opens a page of somebody who has no cookies. Nothing may go wrong on our pages: what the
// console of the browser complains of is collected in page.complaints.
export async function visitor(browser, options = {}) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    watch(page);
    return page;
}

export function watch(page) {
    page.complaints = [];
    page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") page.complaints.push(`${page.url()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => page.complaints.push(`${page.url()}: ${error}`));
}

export async function signIn(page, who) {
    await page.getByRole("textbox", { name: "Username" }).fill(who.name);
    await page.getByRole("textbox", { name: "Password" }).fill(who.password);
    await page.getByRole("button", { name: "Continue" }).click();
}

export function consentHeading(page) {
    return page.getByRole("heading", { name: /^Continue to/ });
}

// consent presses a button of the page that asks whether to go on to the client.
export async function consent(page, button = "Continue") {
    await consentHeading(page).waitFor();
    await page.getByRole("button", { name: button, exact: true }).click();
}

// handOver presses the button of the page that posts an answer to a client, where no script does.
export async function handOver(page, visits, seen = 0) {
    const button = page.getByRole("button", { name: "Continue", exact: true });
    await until("the page that posts the answer", async () => {
        if (visits.length > seen) return true;
        if ((await consentHeading(page).count()) > 0 || (await button.count()) === 0) return false;
        await button.click({ timeout: 1000 }).catch(() => {});
        return visits.length > seen;
    }, 20);
}

// arrivals collects what the browser brings to a client's site.
export function arrivals(page, origin) {
    const visits = [];
    page.on("request", (request) => {
        if (request.isNavigationRequest() && request.url().startsWith(`${origin}/`)) visits.push({ method: request.method(), body: request.postData() });
    });
    return visits;
}

// arrival waits for a visit to a client, and gives its parameters. The fragment never travels, so it is
// read from the address bar.
export async function arrival(page, visits, seen = 0) {
    const visit = await until("the arrival at the client", () => visits[seen], 20);
    await page.getByRole("heading", { name: "client" }).waitFor();
    const url = new URL(page.url());
    const params = visit.method === "POST" ? new URLSearchParams(visit.body) : new URLSearchParams(url.hash ? url.hash.slice(1) : url.search);
    return { ...visit, url, params };
}
