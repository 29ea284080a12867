"""matrix-nio's sync loop with a token that is dead: it never stops. Counts the answers until it is told to wait, or the limit."""

import asyncio
import collections
import json
import sys

from nio import AsyncClient


class Counting(AsyncClient):
    """Counts the answers, and stops the loop at the first that tells to wait, or at the limit."""

    limit = 0

    async def send(self, *args, **kwargs):
        answer = await super().send(*args, **kwargs)
        self.statuses[str(answer.status)] += 1
        if answer.status == 429:
            self.retry_after = answer.headers.get("Retry-After")
            self.waits.append((await answer.json())["retry_after_ms"])
        if answer.status == 429 or sum(self.statuses.values()) >= self.limit:
            self.over.set()
        return answer


async def main(base, user, token, limit):
    client = Counting(base, user)
    client.access_token, client.user_id, client.limit = token, user, int(limit)
    client.statuses, client.waits, client.over, client.retry_after = collections.Counter(), [], asyncio.Event(), None
    loop = asyncio.ensure_future(client.sync_forever(timeout=1000))
    await asyncio.wait_for(client.over.wait(), 60)
    # Told to wait, it does: nothing more comes in this time.
    before = sum(client.statuses.values())
    await asyncio.sleep(1)
    more = sum(client.statuses.values()) - before
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    await client.close()
    print(json.dumps({"statuses": client.statuses, "waits": client.waits, "retry_after": client.retry_after, "more": more}))


asyncio.run(main(*sys.argv[1:]))
