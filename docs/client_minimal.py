"""The smallest client: types a message, prints the answer and saves its sound. Needs `pip install websockets`.

python docs/client_minimal.py ws://127.0.0.1:8080/v1/conversation "Hello, how are you?" answer.wav
"""

import asyncio
import json
import struct
import sys
import wave

import websockets


async def ask(url: str, text: str, path: str) -> None:
    async with websockets.connect(url) as socket:
        with wave.open(path, "wb") as sound:
            sound.setparams((1, 2, 24_000, 0, "NONE", "not compressed"))
            await socket.send(json.dumps({"type": "hello", "protocol": 1}))
            await socket.send(json.dumps({"type": "user_message", "text": text}))
            async for message in socket:
                if isinstance(message, bytes):  # a 24-byte header, then samples; acknowledged as if heard at once
                    sound.writeframes(message[24:])
                    (generation,) = struct.unpack_from("<I", message, 8)
                    played = {"type": "played", "generation": generation, "samples": sound.tell()}
                    await socket.send(json.dumps(played))
                elif (event := json.loads(message))["type"] == "turn_committed":
                    print(event["turn"]["assistant"])
                    break


asyncio.run(ask(*sys.argv[1:4]))
