// matrix-js-sdk over the legacy API, led by a test: what a person does to their own account in an old client, with the
// library's own user-interactive authentication.
import { createClient } from "matrix-js-sdk";
import { InteractiveAuth } from "matrix-js-sdk/lib/interactive-auth.js";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { drive } from "./drive.mjs";

logger.disableAll?.();
const [base] = process.argv.slice(2);
let client;

// confirmed has a person confirm a request by one password after the other. It returns what the library told of each.
async function confirmed(passwords, doRequest) {
    const told = [];
    let auth;
    const stopped = new Promise((_, reject) => {
        auth = new InteractiveAuth({
            matrixClient: client,
            doRequest,
            stateUpdated(stage, { errcode }) {
                told.push(`${stage} ${errcode ?? ""}`.trim());
                if (told.length > passwords.length) {
                    reject(new Error(`it went on asking: ${told}`));
                    return;
                }
                const identifier = { type: "m.id.user", user: client.getUserId() };
                // What comes of it is what comes of attemptAuth.
                auth.submitAuthDict({ type: stage, identifier, password: passwords[told.length - 1] }).catch(() => {});
            },
        });
    });
    await Promise.race([auth.attemptAuth(), stopped]);
    return told;
}

await drive({
    async signIn(user, password, device) {
        const answer = await createClient({ baseUrl: base }).loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user },
            password,
            device_id: device,
        });
        client = createClient({
            baseUrl: base,
            accessToken: answer.access_token,
            userId: answer.user_id,
            deviceId: answer.device_id,
        });
        return answer.device_id;
    },
    whoami: async () => (await client.whoami()).device_id,
    offersPassword: async () => (await client.fetchCapabilities())["m.change_password"]?.enabled ?? true,
    isAvailable: (name) => client.isUsernameAvailable(name),
    deleteDevice: (device, ...passwords) => confirmed(passwords, (auth) => client.deleteDevice(device, auth ?? undefined)),
    deleteDevices: (devices, ...passwords) =>
        confirmed(passwords, (auth) => client.deleteMultipleDevices(devices, auth ?? undefined)),
    setPassword: (next, others, ...passwords) =>
        confirmed(passwords, (auth) => client.setPassword(auth ?? undefined, next, others ?? undefined)),
    deactivate: (erase, ...passwords) =>
        confirmed(passwords, (auth) => client.deactivateAccount(auth ?? undefined, erase)),
});
process.exit(0);
