"""A bot on matrix-nio with encryption, over the legacy API with refresh, led by a test: each line of the input names a
command and its arguments, and is answered by a line with what the command returned, or why it failed."""

import asyncio
import json
import sys
import traceback

from nio import (
    AsyncClient,
    AsyncClientConfig,
    DeleteDevicesAuthResponse,
    DeleteDevicesResponse,
    ErrorResponse,
    JoinResponse,
    LogoutResponse,
    RoomCreateResponse,
    RoomMessageText,
    RoomSendResponse,
    SyncResponse,
    WhoamiResponse,
)

# As long as a test waits for what arrives by itself.
SECONDS = 45


class Bot:
    def __init__(self, base, store):
        self.base, self.store = base, store
        self.client, self.tokens, self.read, self.ends = None, {}, set(), []

    def open(self, login):
        config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False, max_timeouts=20)
        client = AsyncClient(self.base, login["user_id"], device_id=login["device_id"], store_path=self.store, config=config)
        client.restore_login(login["user_id"], login["device_id"], login["access_token"])
        client.add_event_callback(self.heard, RoomMessageText)
        self.client, self.read = client, set()

    async def heard(self, _room, event):
        if event.decrypted:
            self.read.add(event.body)

    async def post(self, path, body):
        """nio has no refresh of its own: its bots do it, by its connection."""
        client = self.client or AsyncClient(self.base)
        answer = await client.send("POST", f"/_matrix/client/v3{path}", json.dumps(body), {"Content-Type": "application/json"})
        got = await answer.json()
        if self.client is None:
            await client.close()
        return answer.status, got

    async def sign_in(self, name, password, device, refresh=True):
        status, got = await self.post("/login", {
            "type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": password,
            "device_id": device, "refresh_token": refresh,
        })
        if status != 200:
            raise RuntimeError(f"the login is answered {status} {got}")
        self.tokens = got
        self.open(got)
        await self.step()
        return got["device_id"]

    async def refresh_once(self):
        status, got = await self.post("/refresh", {"refresh_token": self.tokens["refresh_token"]})
        if status == 200:
            self.tokens.update(got)
            self.client.access_token = got["access_token"]
        elif status == 401:
            self.ends.append("soft" if got.get("soft_logout") is True else "hard")
        return status

    async def ask(self, kind, call):
        """What a bot does whose access token has expired meanwhile: it refreshes, and asks again."""
        answer = await call()
        if isinstance(answer, ErrorResponse) and answer.soft_logout and await self.refresh_once() == 200:
            answer = await call()
        if not isinstance(answer, kind):
            raise RuntimeError(f"wanted {kind.__name__}, got {answer}")
        return answer

    async def refresh(self, times):
        for _ in range(times):
            status = await self.refresh_once()
            if status != 200:
                raise RuntimeError(f"the refresh is answered {status}")
            if await self.whoami() != self.client.device_id:
                raise RuntimeError("it is on another device")

    async def step(self):
        """One sync and what follows from it, as in nio's own loop; what a bot makes of a refusal."""
        answer = await self.client.sync(timeout=500, sync_filter={"room": {"timeline": {"limit": 100}}})
        if not isinstance(answer, SyncResponse):
            if answer.status_code == "M_UNKNOWN_TOKEN":
                if not answer.soft_logout:
                    self.ends.append("hard")
                elif await self.refresh_once() == 200:
                    return answer
            await asyncio.sleep(0.1)
            return answer
        await self.client.send_to_device_messages()
        if self.client.should_upload_keys:
            await self.client.keys_upload()
        if self.client.should_query_keys:
            await self.client.keys_query()
        if self.client.should_claim_keys:
            await self.client.keys_claim(self.client.get_users_for_key_claiming())
        return answer

    async def until(self, what, ready):
        end = asyncio.get_running_loop().time() + SECONDS
        while not ready():
            answer = await self.step()
            if self.ends or asyncio.get_running_loop().time() > end:
                raise RuntimeError(f"{what}: not within {SECONDS} s; ends {self.ends}; the last answer is {answer}")

    async def reads(self, _room, bodies):
        await self.until(f"{bodies} in the room", lambda: self.read.issuperset(bodies))

    async def rereads(self, room, bodies):
        """Begins anew with the store: all that was said comes again from the homeserver, and the keys from the store."""
        await self.client.close()
        self.open({**self.tokens, "user_id": self.client.user_id, "device_id": self.client.device_id})
        await self.reads(room, bodies)

    async def create_room(self, *guests):
        encrypted = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        answer = await self.ask(RoomCreateResponse, lambda: self.client.room_create(invite=list(guests), initial_state=[encrypted]))
        return answer.room_id

    async def join(self, room):
        await self.ask(JoinResponse, lambda: self.client.join(room))

    async def meets(self, room, guest):
        await self.until(f"{guest} in the room", lambda: room in self.client.rooms and guest in self.client.rooms[room].users)
        # Who was invited is listed before they joined.
        while self.client.rooms[room].users[guest].invited:
            await self.step()

    async def say(self, room, body):
        content = {"msgtype": "m.text", "body": body}
        await self.ask(RoomSendResponse, lambda: self.client.room_send(room, "m.room.message", content, ignore_unverified_devices=True))

    async def try_refresh(self):
        return await self.refresh_once()

    async def try_sync(self):
        """The status of a sync, whatever it is."""
        answer = await self.client.sync(timeout=0)
        return answer.transport_response.status

    async def whoami(self):
        return (await self.ask(WhoamiResponse, self.client.whoami)).device_id

    async def kept(self):
        return self.tokens

    async def log_out(self):
        answer = await self.client.logout()
        if not isinstance(answer, LogoutResponse):
            raise RuntimeError(f"it is answered {answer}")

    async def own_key(self):
        return self.client.olm.account.identity_keys["ed25519"]

    async def delete_devices(self, devices, password):
        """By way of the library, which is asked to confirm it and then does."""
        asked = await self.client.delete_devices(devices)
        if not isinstance(asked, DeleteDevicesAuthResponse):
            raise RuntimeError(f"the first request is answered {asked}")
        if asked.flows != [{"stages": ["m.login.password"]}]:
            raise RuntimeError(f"the flows are {asked.flows}")
        return await self.delete_at_once(devices, password, {"session": asked.session})

    async def delete_at_once(self, devices, password, more):
        """As the library's manual has it, which does not ask first: by the password alone."""
        auth = {"type": "m.login.password", "user": self.client.user_id, "password": password, **more}
        answer = await self.client.delete_devices(devices, auth)
        if not isinstance(answer, DeleteDevicesResponse):
            raise RuntimeError(f"it is answered {answer}")
        return True

    async def confirm(self, path, body, password):
        """What the library has no method for, by its connection. Returns the statuses."""
        client = self.client
        first, asked = await self.post_in(path, body)
        identifier = {"type": "m.id.user", "user": client.user_id}
        auth = {"type": "m.login.password", "session": asked.get("session"), "identifier": identifier, "password": password}
        second, answer = await self.post_in(path, {**body, "auth": auth})
        return [first, second, answer.get("errcode", "")]

    async def post_in(self, path, body):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.client.access_token}"}
        answer = await self.client.send("POST", f"/_matrix/client/v3{path}", json.dumps(body), headers)
        return answer.status, await answer.json()

    async def list_ends(self):
        return self.ends


async def main(base, store):
    bot = Bot(base, store)
    commands = {
        "signIn": bot.sign_in, "refresh": bot.refresh, "reads": bot.reads, "rereads": bot.rereads, "createRoom": bot.create_room, "join": bot.join,
        "meets": bot.meets, "say": bot.say, "tryRefresh": bot.try_refresh, "trySync": bot.try_sync, "whoami": bot.whoami,
        "ownKey": bot.own_key, "ends": bot.list_ends, "kept": bot.kept, "logOut": bot.log_out,
        "deleteDevices": bot.delete_devices, "deleteAtOnce": bot.delete_at_once, "confirm": bot.confirm,
    }
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        try:
            answer = {"value": await commands[asked["name"]](*asked["args"])}
        except Exception:
            answer = {"failure": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
    if bot.client is not None:
        await bot.client.close()


asyncio.run(main(*sys.argv[1:]))
