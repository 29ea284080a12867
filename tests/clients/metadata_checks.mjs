// Takes away from our metadata, one by one, what the specification requires, and has matrix-js-sdk look at
// the rest: it must refuse, as then a client has no way to sign in.
import { createServer } from "node:http";
import { createClient } from "matrix-js-sdk";
import { check, done, equal, ok } from "./checks.mjs";

const [base] = process.argv.slice(2);
const ours = await (await fetch(`${base}/_matrix/client/v1/auth_metadata`)).json();

let served = ours;
const server = createServer((_request, response) => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(served));
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const look = (metadata) => {
    served = metadata;
    return createClient({ baseUrl: `http://127.0.0.1:${server.address().port}` }).getAuthMetadata();
};

await check("metadata whole is accepted", async () => {
    equal((await look(ours)).issuer, ours.issuer, "the issuer");
});

const without = (member) => Object.fromEntries(Object.entries(ours).filter(([name]) => name !== member));

async function refuses(name, metadata) {
    await check(name, async () => {
        const refused = await look(metadata).then(() => false, () => true);
        ok(refused, "the client accepted it");
    });
}

for (const member of ["issuer", "authorization_endpoint", "token_endpoint", "revocation_endpoint", "registration_endpoint"]) {
    await refuses(`metadata without ${member} is refused`, without(member));
}
for (const [member, values] of Object.entries({
    response_types_supported: ["code"],
    grant_types_supported: ["authorization_code", "refresh_token"],
    response_modes_supported: ["query", "fragment"],
    code_challenge_methods_supported: ["S256"],
})) {
    await refuses(`metadata without ${member} is refused`, without(member));
    for (const value of values) {
        ok(ours[member].includes(value), `${member} lacks ${value}`);
        await refuses(`metadata whose ${member} lacks ${value} is refused`, { ...ours, [member]: ours[member].filter((one) => one !== value) });
    }
}
server.close();
done();
