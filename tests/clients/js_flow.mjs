// Two people on matrix-js-sdk: password login, devices, a message, refresh, logout. Prints what it saw as JSON.
import { createClient } from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.disableAll?.();
const [base, alicePassword, bobPassword] = process.argv.slice(2);

async function signIn(user, password) {
    const answer = await createClient({ baseUrl: base }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user },
        password,
        refresh_token: true,
        initial_device_display_name: "js",
    });
    const client = createClient({
        baseUrl: base,
        accessToken: answer.access_token,
        userId: answer.user_id,
        deviceId: answer.device_id,
    });
    return { answer, client };
}

function hear(client, body) {
    return new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error(`${body} was not heard`)), 60_000).unref();
        client.on("Room.timeline", (event) => {
            if (event.getContent().body === body) resolve(event.getSender());
        });
    });
}

const alice = await signIn("alice", alicePassword);
const bob = await signIn("bob", bobPassword);
const who = await alice.client.whoami();
const flows = (await alice.client.loginFlows()).flows.map((flow) => flow.type);
const { devices } = await alice.client.getDevices();
const { room_id: room } = await alice.client.createRoom({ invite: [who.user_id.replace("alice", "bob")] });
await bob.client.joinRoom(room);
const heard = hear(bob.client, "hello from js");
await bob.client.startClient({ initialSyncLimit: 10 });

// The old access token goes on working beside the new one, and so does the new one.
const refreshed = await alice.client.refreshToken(alice.answer.refresh_token);
await alice.client.whoami();
alice.client.setAccessToken(refreshed.access_token);
await alice.client.sendTextMessage(room, "hello from js");
const sender = await heard;
const again = await alice.client.refreshToken(refreshed.refresh_token);
alice.client.setAccessToken(again.access_token);
await alice.client.whoami();

bob.client.stopClient();
await alice.client.logout();
let after = "still in";
try {
    await alice.client.whoami();
} catch (error) {
    after = error.errcode;
}
let late = "still minting";
try {
    await createClient({ baseUrl: base }).refreshToken(again.refresh_token);
} catch (error) {
    late = error.errcode;
}
await bob.client.logout();
console.log(
    JSON.stringify({
        device: alice.answer.device_id,
        who: who.device_id,
        devices: devices.map((device) => device.device_id),
        expires: alice.answer.expires_in_ms,
        flows,
        sender,
        after,
        late,
    }),
);
process.exit(0);
