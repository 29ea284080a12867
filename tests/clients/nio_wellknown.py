"""Has matrix-nio read well-known documents, and tells of each host whether it could."""
import asyncio
import json
import sys

from nio import AsyncClient, DiscoveryInfoResponse


async def read(site):
    client = AsyncClient(site, "@alice:example.test", ssl=False)
    try:
        return isinstance(await client.discovery_info(), DiscoveryInfoResponse)
    except ValueError as error:  # of what it stumbles over it makes no answer
        print(f"{site}: {error}", file=sys.stderr)
        return False
    finally:
        await client.close()


async def main():
    print(json.dumps({site: await read(site) for site in sys.argv[1:]}))


asyncio.run(main())
