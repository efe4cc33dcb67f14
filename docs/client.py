"""One turn with a running server, spoken from a recording or typed. Needs Python 3.11 and `pip install websockets`.

python docs/client.py ws://127.0.0.1:8080/v1/conversation --say question.wav --out answer.wav
"""

import argparse
import asyncio
import itertools
import json
import struct
import sys
import time
import wave

import websockets

HEADER = struct.Struct("<BBHIIIQ")  # kind, version, flags, epoch, generation, sequence, microseconds since 1970


async def converse(url: str, say: str | None, text: str | None, answer: bytearray) -> bool:
    """Fills `answer` with samples. Returns whether the turn was answered."""
    tasks, complete, answered = [], asyncio.Event(), False
    async with websockets.connect(url, compression=None) as socket:

        async def send(kind, **fields):
            await socket.send(json.dumps({"type": kind, **fields}))

        async def speak(epoch):
            """As a microphone: 20 ms frames in real time, and silence after the recording until the answer begins."""
            with wave.open(say) as recording:  # 16 kHz, mono, 16 bit
                pcm = recording.readframes(recording.getnframes())
            await send("start_listening")
            start = time.monotonic()
            for number in itertools.count(1):
                await asyncio.sleep(start + number * 0.02 - time.monotonic())
                frame = pcm[number * 640 - 640 : number * 640].ljust(640, b"\0")
                await socket.send(HEADER.pack(1, 1, 0, epoch, 0, number, time.time_ns() // 1000 - 20_000) + frame)

        async def play(generation):
            """As a loudspeaker: acknowledges the answer at the pace at which it would be heard."""
            start, now, played = time.monotonic(), time.time() * 1000, -1
            await send("playback_started", generation=generation, received_ms=now, started_ms=now)
            while not complete.is_set() or played < len(answer) // 2:
                played = min(len(answer) // 2, int((time.monotonic() - start) * 24_000))
                await send("played", generation=generation, samples=played)
                await asyncio.sleep(0.1)

        await send("hello", protocol=1, client="docs/client.py")
        async for message in socket:
            if isinstance(message, bytes):
                if not answer:
                    tasks.append(asyncio.create_task(play(HEADER.unpack_from(message)[4])))
                answer += message[HEADER.size :]
                continue
            match json.loads(message):
                case {"type": "ready", "epoch": epoch} if say:
                    tasks.append(asyncio.create_task(speak(epoch)))
                case {"type": "ready"}:
                    await send("user_message", text=text, at_ms=time.time() * 1000)
                case {"type": "stt_finished", "text": heard}:
                    print("transcript:", heard)
                    if not heard:
                        break
                case {"type": "audio_stream_start"} if say:
                    tasks[0].cancel()  # half duplex
                case {"type": "audio_stream_stop"}:
                    complete.set()
                case {"type": "turn_metrics", "total_ms": total, "parts": parts}:
                    print(f"total_ms: {total:.0f} =", " + ".join(f"{part['name']} {part['ms']:.0f}" for part in parts))
                case {"type": "turn_committed", "turn": turn}:
                    print("answer:", turn["assistant"])
                    answered = True
                    break
                case {"type": "error", "code": code, "message": sentence}:
                    print(f"{code}: {sentence}", file=sys.stderr)
        for task in tasks:
            task.cancel()
    return answered


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="ws://host:port/v1/conversation")
    turn = parser.add_mutually_exclusive_group(required=True)
    turn.add_argument("--say", metavar="WAV", help="a recording: 16 kHz, mono, 16 bit")
    turn.add_argument("--type", metavar="TEXT", help="a typed message")
    parser.add_argument("--out", metavar="WAV", help="where the answer's audio goes")
    options, samples = parser.parse_args(), bytearray()
    try:
        answered = asyncio.run(converse(options.url, options.say, options.type, samples))
    except websockets.ConnectionClosed as closed:
        sys.exit(f"The server closed the connection: {closed}")
    if options.out:
        with wave.open(options.out, "wb") as out:
            out.setparams((1, 2, 24_000, 0, "NONE", "not compressed"))
            out.writeframes(samples)
    sys.exit(0 if answered else 1)
