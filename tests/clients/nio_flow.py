"""Two people on matrix-nio: password login, devices, a message, logout. Prints what it saw as JSON."""

import asyncio
import json
import sys

from nio import AsyncClient, JoinResponse, LoginResponse, LogoutResponse, RoomCreateResponse, RoomMessageText, RoomSendResponse


def expect(kind, answer):
    if not isinstance(answer, kind):
        raise SystemExit(f"wanted {kind.__name__}, got {answer!r}")
    return answer


async def sign_in(base, user, password):
    client = AsyncClient(base, user)
    expect(LoginResponse, await client.login(password, device_name="nio"))
    return client


async def hear(client, body):
    """Syncs until a message arrives; the caller bounds the time."""
    since = None
    while True:
        answer = await client.sync(timeout=1000, since=since)
        since = answer.next_batch
        for room in answer.rooms.join.values():
            for event in room.timeline.events:
                if isinstance(event, RoomMessageText) and event.body == body:
                    return event.sender


async def main(base, server, alice_password, bob_password):
    alice = await sign_in(base, f"@alice:{server}", alice_password)
    bob = await sign_in(base, "bob", bob_password)
    devices = [device.id for device in (await alice.devices()).devices]
    room = expect(RoomCreateResponse, await alice.room_create(invite=[bob.user_id])).room_id
    expect(JoinResponse, await bob.join(room))
    expect(RoomSendResponse, await alice.room_send(room, "m.room.message", {"msgtype": "m.text", "body": "hello from nio"}))
    sender = await asyncio.wait_for(hear(bob, "hello from nio"), 60)
    device, token = alice.device_id, alice.access_token
    expect(LogoutResponse, await alice.logout())
    expect(LogoutResponse, await bob.logout())
    await alice.close()
    await bob.close()
    print(json.dumps({"device": device, "token": token, "devices": devices, "sender": sender}))


asyncio.run(main(*sys.argv[1:]))
