// Has pages of other origins fetch documents, and tells of each whether they could read it. What is read is
// judged as matrix-js-sdk does: the status must be a good one, and the body a JSON object.
import { launchWith } from "./browser.mjs";

const [publicKey, ...documents] = process.argv.slice(2);
// The certificate is taken for a good one, and not only passed over: Chromium caches nothing that came with a bad one.
const browser = await launchWith([`--ignore-certificate-errors-spki-list=${publicKey}`], "MAP *.invalid 127.0.0.1");
const context = await browser.newContext();

async function open(address) {
    const page = await context.newPage();
    await page.goto(address);
    return page;
}

const read = (page, address) =>
    page.evaluate(async (address) => {
        try {
            const response = await fetch(address);
            if (!response.ok) return false;
            const body = await response.json();
            return typeof body === "object" && body !== null && !Array.isArray(body);
        } catch {
            return false;
        }
    }, address);

// Two pages of one site share a cache, so that the second may be given what was kept of the first.
const pages = [await open("https://app.client.example.com/"), await open("https://other.client.example.com/")];
const verdicts = {};
for (const address of documents) {
    verdicts[address] = [];
    for (const page of pages) verdicts[address].push(await read(page, address));
}
await browser.close();
console.log(JSON.stringify(verdicts));
process.exit(0);
