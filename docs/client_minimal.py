"""The smallest client: types a message, prints the answer and saves its sound. Needs `pip install websockets`.

python docs/client_minimal.py ws://127.0.0.1:8080/v1/conversation "Hello, how are you?" answer.wav
"""

import asyncio
import json
import struct
import sys
import wave
from pathlib import Path

import websockets


async def ask(url: str, text: str, sound: wave.Wave_write) -> str:
    sound.setparams((1, 2, 24_000, 0, "NONE", "not compressed"))
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({"type": "hello", "protocol": 1}))
        await socket.send(json.dumps({"type": "user_message", "text": text}))
        async for message in socket:
            if isinstance(message, bytes):  # a 24-byte header, then samples; acknowledged as if heard at once
                sound.writeframes(message[24:])
                (generation,) = struct.unpack_from("<I", message, 8)
                await socket.send(json.dumps({"type": "played", "generation": generation, "samples": sound.tell()}))
            elif (event := json.loads(message))["type"] == "turn_committed":
                return event["turn"]["assistant"]
            elif event["type"] == "error":
                sys.exit(event["message"])
    sys.exit("The server closed the connection before its answer was complete.")


if len(sys.argv) != 4:
    sys.exit("usage: client_minimal.py URL TEXT WAV")
try:
    with Path(sys.argv[3]).open("wb") as file, wave.open(file, "wb") as sound:
        print(asyncio.run(ask(sys.argv[1], sys.argv[2], sound)))
except (OSError, websockets.WebSocketException) as error:
    sys.exit(f"No answer: {error}")
