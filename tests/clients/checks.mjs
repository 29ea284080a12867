// Named checks whose outcomes the Go side turns into subtests: one JSON document a line.
import { isDeepStrictEqual, inspect } from "node:util";

let failed = 0;

export async function check(name, run) {
    const start = Date.now();
    try {
        const saw = await run();
        console.log(JSON.stringify({ name, saw, ms: Date.now() - start }));
        return saw;
    } catch (error) {
        failed++;
        console.log(JSON.stringify({ name, failure: describe(error), ms: Date.now() - start }));
        return undefined;
    }
}

const running = [];

// aside makes a check beside others, as most of what they do is waiting.
export function aside(name, run) {
    running.push(check(name, run));
}

// settled waits for all that were made aside.
export const settled = () => Promise.all(running);

// done ends the process: libraries leave timers behind.
export function done() {
    process.exit(failed === 0 ? 0 : 1);
}

export function equal(got, want, what = "the value") {
    if (!isDeepStrictEqual(got, want)) throw new Error(`${what} is ${inspect(got)}, want ${inspect(want)}`);
}

export function ok(condition, problem) {
    if (!condition) throw new Error(problem);
}

// refused expects a rejection, and gives it.
export async function refused(promise, what) {
    let value;
    try {
        value = await promise;
    } catch (error) {
        return error;
    }
    throw new Error(`${what} was not refused: ${inspect(value)}`);
}

// until polls: for what arrives by itself.
export async function until(what, ready, seconds = 45) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
        const value = await ready();
        if (value) return value;
        if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}

function describe(error) {
    const cause = error.cause === undefined ? "" : `\ncaused by ${inspect(error.cause, { depth: 4 })}`;
    return `${error.stack ?? inspect(error)}${cause}`;
}
