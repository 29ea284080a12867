// People at our pages in a real browser, each with a browser of their own, led by a test: they find fields, buttons and
// links by the names that are read out to them, and come from a client on matrix-js-sdk or by an address.
import { readFileSync } from "node:fs";
import { launch, visitor } from "./browser.mjs";
import { ready, serve } from "./client_site.mjs";
import { drive } from "./drive.mjs";
import { judge, tabTo, views } from "./look.mjs";
import { until } from "./checks.mjs";

const [base, languages, album] = process.argv.slice(2);
const address = `${await serve({ "/app": "sdk_page.mjs" })}/app`;
const redirectUri = `${address}?no_universal_links=true`;
const browser = await launch();
const people = new Map();

const texts = Object.fromEntries(["en", "de"].map((tag) => [tag, JSON.parse(readFileSync(`${languages}/${tag}.json`, "utf8"))]));

// spoken returns what a name of the English pages may be called on those in a language.
function spoken(name, language) {
    const keys = Object.keys(texts.en).filter((key) => texts.en[key] === name);
    const names = [name, ...(language === "en" ? [] : keys.map((key) => texts[language][key]))];
    return new RegExp(`^(${names.map((one) => one.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})$`);
}

// english returns what a name of the pages in a language may be called on those in English.
function english(name, language) {
    const keys = language === "en" ? [] : Object.keys(texts.en).filter((key) => texts[language][key] === name);
    return keys.length === 0 ? [name] : [...new Set(keys.map((key) => texts.en[key]))];
}

// find returns what a person means by a name.
async function find({ page, language }, roles, name) {
    const [first, ...others] = roles.map((role) => page.getByRole(role, { name: spoken(name, language) }));
    const found = others.reduce((all, one) => all.or(one), first).first();
    await found.waitFor({ timeout: 5000 }).catch(async () => {
        throw new Error(`no ${roles.join(" or ")} ${name} at ${page.url()}: ${await page.locator("body").innerText()}`);
    });
    return found;
}

// see returns what is shown. The names of fields, buttons and links are those of the English pages.
async function see({ page, language }) {
    const shown = await page.evaluate(() => {
        const visible = (node) => node.checkVisibility({ visibilityProperty: true });
        const say = (node) => (node?.innerText ?? "").trim().replaceAll(/\s+/g, " ");
        const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);
        return {
            heading: say(document.querySelector("h1")),
            alert: all("[role=alert]").map(say).join(" "),
            status: all("[role=status]").map(say).join(" "),
            inputs: all("input:not([type=hidden], [type=submit])").map((input) => [input.ariaLabel ?? say(input.labels?.[0]), input.value]),
            buttons: all("button").map((button) => button.ariaLabel ?? say(button)),
            links: all("a").map(say),
            text: say(document.body),
            language: document.documentElement.lang,
        };
    });
    const inEnglish = (name) => english(name, language);
    return {
        ...shown,
        url: page.url(),
        fields: shown.inputs.map(([name]) => inEnglish(name)[0]),
        values: Object.fromEntries(shown.inputs.map(([name, value]) => [inEnglish(name)[0], value])),
        buttons: shown.buttons.flatMap(inEnglish),
        links: shown.links.flatMap(inEnglish),
        complaints: page.complaints.filter((line) => line.startsWith(base)),
    };
}

// moved does what leads to another page, and returns what is shown there.
async function moved(person, act) {
    const { page } = person;
    const [response] = await Promise.all([page.waitForNavigation(), act()]);
    // The console names the status of an answer that says what is wrong, as it should.
    if (response !== null && response.status() >= 400) page.complaints.length = 0;
    return { ...(await see(person)), code: response?.status() ?? 0 };
}

async function activate(person, target, key) {
    if (!person.keyboard) return target.click();
    await tabTo(person.page, target);
    return person.page.keyboard.press(key);
}

// go presses or follows what has a name, and returns what comes.
async function go(person, role, name) {
    const target = await find(person, [role], name);
    return moved(person, () => activate(person, target, "Enter"));
}

const who = (id) => people.get(id);

await drive({
    // arrive gives somebody a browser without cookies. view is light, dark or narrow.
    async arrive(id, { view = "light", colorScheme, locale = "en-US", script = true, keyboard = false }) {
        const seen = { name: view, ...views[view], ...(colorScheme ? { colorScheme } : {}) };
        const { name: _, ...options } = seen;
        const page = await visitor(browser, { ...options, locale, javaScriptEnabled: script, reducedMotion: "reduce" });
        people.set(id, { page, keyboard, view: seen, language: locale.slice(0, 2) });
    },
    async leave(id) {
        await who(id).page.context().close();
        people.delete(id);
    },
    open: (id, url) => moved(who(id), () => who(id).page.goto(url)),
    reload: (id) => moved(who(id), () => who(id).page.reload()),
    back: (id) => moved(who(id), () => who(id).page.goBack()),
    see: (id) => see(who(id)),
    async type(id, name, text) {
        const { page, keyboard } = who(id);
        const field = await find(who(id), ["textbox"], name);
        if (!keyboard) return field.fill(text);
        await tabTo(page, field);
        await page.keyboard.press("Control+A");
        await page.keyboard.type(text);
    },
    // tick sets a box or chooses one of several ways, if it is not chosen.
    async tick(id, name) {
        const box = await find(who(id), ["checkbox", "radio"], name);
        if (!(await box.isChecked())) await activate(who(id), box, "Space");
    },
    press: (id, name) => go(who(id), "button", name),
    follow: (id, name) => go(who(id), "link", name),
    // look has axe-core look at the page as the person sees it, or else in every view, with a picture of each if there is an
    // album.
    async look(id, name, every) {
        const { page, view } = who(id);
        page.complaints = page.complaints.filter((line) => line.startsWith(base));
        if (!every) return judge(page, name, view.name, "");
        for (const [other, { colorScheme, viewport }] of Object.entries(views)) {
            await page.emulateMedia({ colorScheme });
            await page.setViewportSize(viewport);
            await judge(page, name, other, album);
        }
        await page.emulateMedia({ colorScheme: view.colorScheme });
        await page.setViewportSize(view.viewport);
    },

    // begin has the client send the browser to us, and returns what it is shown first.
    async begin(id, prompt) {
        const { page } = who(id);
        await page.goto(address);
        await ready(page);
        const url = await page.evaluate((args) => window.app.begin(...args), [base, { mode: "query", redirectUri, prompt }]);
        return moved(who(id), () => page.evaluate((url) => window.location.assign(url), url));
    },
    // signedIn waits until the browser is back at the client, which takes its tokens and syncs, and returns whose they are.
    async signedIn(id) {
        const { page } = who(id);
        await page.waitForURL(`${redirectUri}**`);
        await ready(page);
        const answer = await page.evaluate(() => window.app.finish());
        if (answer.error) throw new Error(`the client got ${answer.error}`);
        await page.evaluate(() => window.app.open());
        await page.evaluate(() => window.app.start());
        await until("answers to the sync", () => page.evaluate(() => window.app.seen().syncs > 1));
        return answer.who.user_id;
    },
    // asks has the client of a browser ask who it is, and returns whether it still is.
    async stillIn(id) {
        const { page } = who(id);
        return page.evaluate(() => window.app.whoami().then(() => true, () => false));
    },
    client: async () => address,
});
await browser.close();
process.exit(0);
