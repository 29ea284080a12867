// How our pages look and are reached: judged by axe-core in light, dark and narrow, photographed if a directory is named,
// and gone through by keyboard.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { equal, ok } from "./checks.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const views = {
    light: { colorScheme: "light", viewport: { width: 1024, height: 720 } },
    dark: { colorScheme: "dark", viewport: { width: 1024, height: 720 } },
    narrow: { colorScheme: "light", viewport: { width: 320, height: 640 } },
};

// judge looks at a page as it is now. album is the directory of pictures, empty for none.
export async function judge(page, name, view, album) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() =>
        window.axe.run(document, {
            runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] },
        }),
    );
    const found = violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).join(" | ")}`);
    equal(found, [], `what axe finds on ${name}, ${view}`);
    const facts = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth - window.innerWidth,
        headings: document.querySelectorAll("h1").length,
        lang: document.documentElement.lang,
        title: document.title,
        scripts: document.scripts.length,
    }));
    ok(facts.wide <= 0, `${name} is ${facts.wide}px too wide, ${view}`);
    equal(facts.headings, 1, `the number of main headings of ${name}`);
    ok(facts.lang !== "" && facts.title !== "", `${name} has no language or no title`);
    equal(page.complaints, [], `what the browser complains of on ${name}`);
    if (album) await page.screenshot({ path: `${album}/${name}-${view}.png`, fullPage: true });
}

// tabTo presses the tabulator until something that a person can see to be focused is the target.
export async function tabTo(page, target) {
    for (let i = 0; i < 40; i++) {
        if (await target.evaluate((node) => node === document.activeElement)) {
            const shown = await target.evaluate((node) => {
                const style = getComputedStyle(node);
                return node.matches(":focus-visible") && (style.outlineStyle !== "none" || style.boxShadow !== "none");
            });
            ok(shown, `the focus on ${target} cannot be seen`);
            return;
        }
        await page.keyboard.press("Tab");
    }
    throw new Error(`the tabulator does not lead to ${target}`);
}
