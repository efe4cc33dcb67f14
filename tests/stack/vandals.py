"""Clients that send junk, in a process of their own: `vandals.py URL CLIENTS MESSAGES` prints the error codes they got.

Ends with status 1 when a connection was closed with a code that is not documented, or an answer was no event.
"""

import asyncio
import json
import random
import sys

import websockets

from services.contracts import commands, events
from services.contracts.errors import MEANINGS, Code
from services.contracts.frame import Header, Kind, pack

DOCUMENTED = {meaning.close for meaning in MEANINGS.values()} | {1000, 1006, 1007, 1008, 1009, 1011}
HELLO = '{"type": "hello", "protocol": 1}'


def junk(chance: random.Random) -> str | bytes:
    kind = chance.randrange(8)
    if kind == 0:
        return chance.randbytes(chance.randrange(200))
    if kind == 1:
        return "".join(chr(chance.randrange(32, 0x2FFF)) for _ in range(chance.randrange(200)))
    if kind == 2:
        return json.dumps({"type": chance.choice(sorted(commands.TAGS)), "x": chance.random()})
    if kind == 3:
        return json.dumps({"type": "settings", "settings": {chance.choice("ab"): [None, {}]}})
    if kind == 4:
        header = Header(Kind.AUDIO, chance.randrange(3), chance.randrange(9), chance.randrange(2**32))
        return pack(header, chance.randbytes(chance.randrange(5000)))
    if kind == 5:
        return json.dumps({"type": "played", "generation": chance.randrange(9), "samples": chance.randrange(2**32)})
    if kind == 6:
        return "[" * chance.randrange(2000)
    return json.dumps({"type": "user_message", "text": "x" * chance.randrange(9000)})


async def vandal(url: str, seed: int, messages: int) -> set[str]:
    """Sends junk and returns the error codes it got; every one has to be a documented one."""
    chance = random.Random(seed)
    codes: set[str] = set()
    with_hello = seed % 4 != 0
    try:
        async with websockets.connect(url, compression=None) as socket:
            if with_hello:
                await socket.send(HELLO)

            async def read():
                async for message in socket:
                    if isinstance(message, str):
                        event = events.decode(message)
                        if isinstance(event, events.Error):
                            codes.add(Code(event.code))

            reader = asyncio.create_task(read())
            for _ in range(messages):
                await socket.send(junk(chance))
                await asyncio.sleep(0.002)
            await asyncio.wait({reader}, timeout=1)
            reader.cancel()
    except websockets.ConnectionClosed as closed:
        if closed.code not in DOCUMENTED:
            raise
    return codes


async def main(url: str, clients: int, messages: int) -> None:
    codes = await asyncio.gather(*(vandal(url, seed, messages) for seed in range(clients)))
    print(json.dumps(sorted(set().union(*codes))))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
