// The site of web clients: pages whose scripts are bundled here, at another name than the server's, so that the browser
// sees two sites.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const wasm = "pkg/matrix_sdk_crypto_wasm_bg.wasm";

// bundle splits a page's modules, so that a client without encryption does not load that of the SDK.
async function bundle(name) {
    const built = await build({
        entryPoints: [fileURLToPath(new URL(name, import.meta.url))],
        bundle: true,
        splitting: true,
        format: "esm",
        write: false,
        outdir: "/",
        logLevel: "error",
        define: { global: "globalThis" },
    });
    return built.outputFiles.map((file) => [file.path, { type: "text/javascript", content: file.contents }]);
}

// serve gives each path the page of a script beside this one, and returns the origin.
export async function serve(pages) {
    const files = new Map((await Promise.all([...new Set(Object.values(pages))].map(bundle))).flat());
    // The encryption is looked for beside the script that loads it.
    const library = createRequire(import.meta.url).resolve("@matrix-org/matrix-sdk-crypto-wasm");
    files.set(`/${wasm}`, { type: "application/wasm", content: await readFile(new URL(wasm, new URL(`file://${library}`))) });
    for (const [path, script] of Object.entries(pages)) {
        const source = script.replace(/\.mjs$/, ".js");
        files.set(path, { type: "text/html", content: `<!doctype html><title>client</title><script type="module" src="/${source}"></script>` });
    }
    const server = createServer((request, response) => {
        const file = files.get(new URL(request.url, "http://localhost").pathname);
        if (file) response.writeHead(200, { "Content-Type": file.type }).end(file.content);
        else response.writeHead(404).end();
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    server.unref();
    return `http://localhost:${server.address().port}`;
}

export const ready = (page) => page.waitForFunction(() => window.app !== undefined);

// away sends the browser from a client's page to ours, as a client does, and back returns what it came back with.
export async function away(page, base, address, options) {
    const redirectUri = `${address}?no_universal_links=true`;
    await page.goto(address);
    await ready(page);
    const url = await page.evaluate(([base, options]) => window.app.begin(base, options), [base, { redirectUri, ...options }]);
    await page.evaluate((url) => window.location.assign(url), url);
    return redirectUri;
}

export async function back(page, address, ...args) {
    await page.waitForURL(`${address}**`);
    if (!page.url().startsWith(`${address}?no_universal_links=true`)) throw new Error(`the registered query is lost: ${page.url()}`);
    await ready(page);
    return page.evaluate((args) => window.app.finish(...args), args);
}
