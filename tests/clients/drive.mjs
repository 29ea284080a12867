// A client that a test leads step by step: each line of the input names a command and its arguments, and is answered by a
// line with what the command returned, or why it failed.
import { createInterface } from "node:readline";

export async function drive(commands) {
    for await (const line of createInterface({ input: process.stdin })) {
        const { name, args } = JSON.parse(line);
        let answer;
        try {
            answer = { value: (await commands[name](...args)) ?? null };
        } catch (error) {
            answer = { failure: error.stack ?? String(error) };
        }
        process.stdout.write(`${JSON.stringify(answer)}\n`);
    }
}
