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
from pathlib import Path

import websockets

HEADER = struct.Struct("<BBHIIIQ")  # kind, version, flags, epoch, generation, sequence, microseconds since 1970
SHORTENED = ("language_failed", "language_timeout", "synthesis_unavailable")  # an answer may come all the same


class Unanswered(Exception):
    """The text says why."""


def samples_of(path: str) -> bytes:
    """A recording as it goes over the wire. Raises Unanswered."""
    try:
        with wave.open(path) as recording:
            rate, channels, bits = recording.getframerate(), recording.getnchannels(), 8 * recording.getsampwidth()
            pcm = recording.readframes(recording.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        why = getattr(error, "strerror", None) or str(error) or "it ends too early"
        raise Unanswered(f"{path} cannot be read as a WAV file: {why}.") from error
    if (rate, channels, bits) != (16_000, 1, 16) or not pcm:
        found = f"{len(pcm) // max(1, channels * bits // 8)} samples at {rate} Hz, {channels} channel(s), {bits} bit"
        raise Unanswered(f"{path} has {found}; a recording to say has 16000 Hz, 1 channel, 16 bit.")
    return pcm


async def converse(url: str, say: bytes, text: str | None, answer: bytearray, patience: float) -> None:
    """Fills `answer` with samples. Raises Unanswered; so much patience is there for each next piece of an answer."""
    tasks, complete = [], asyncio.Event()
    connection = websockets.connect(url, compression=None, open_timeout=patience)
    async with connection as socket, asyncio.timeout(patience) as limit:

        def wait(seconds):
            limit.reschedule(seconds and asyncio.get_running_loop().time() + seconds)

        async def send(kind, **fields):
            await socket.send(json.dumps({"type": kind, **fields}))

        async def speak(epoch):
            """As a microphone: 20 ms frames in real time, and silence after the recording until the answer begins."""
            await send("start_listening")
            start = time.monotonic()
            for number in itertools.count(1):
                await asyncio.sleep(start + number * 0.02 - time.monotonic())
                frame = say[number * 640 - 640 : number * 640].ljust(640, b"\0")
                await socket.send(HEADER.pack(1, 1, 0, epoch, 0, number, time.time_ns() // 1000 - 20_000) + frame)
                if number == len(say) // 640 + 1:
                    wait(patience)

        async def play(generation):
            """As a loudspeaker: acknowledges the answer at the pace at which it would be heard."""
            start, now, played = time.monotonic(), time.time() * 1000, -1
            await send("playback_started", generation=generation, received_ms=now, started_ms=now)
            while not complete.is_set() or played < len(answer) // 2:
                played = min(len(answer) // 2, int((time.monotonic() - start) * 24_000))
                await send("played", generation=generation, samples=played)
                await asyncio.sleep(0.1)

        try:
            await send("hello", protocol=1, client="docs/client.py")
            async for message in socket:
                if isinstance(message, bytes):
                    if not answer:
                        tasks.append(asyncio.create_task(play(HEADER.unpack_from(message)[4])))
                    answer += message[HEADER.size :]
                    wait(patience)
                    continue
                match json.loads(message):
                    case {"type": "ready", "epoch": epoch} if say:
                        wait(None)
                        tasks.append(asyncio.create_task(speak(epoch)))
                    case {"type": "ready"}:
                        await send("user_message", text=text, at_ms=time.time() * 1000)
                        wait(patience)
                    case {"type": "stt_finished", "text": heard}:
                        print("transcript:", heard)
                        wait(patience)
                        if not heard:
                            raise Unanswered("Nothing was understood.")
                    case {"type": "text_chunk"}:
                        wait(patience)
                    case {"type": "audio_stream_start"} if say:
                        tasks[0].cancel()  # half duplex
                    case {"type": "audio_stream_stop"}:
                        complete.set()
                    case {"type": "turn_metrics", "total_ms": total, "parts": parts}:
                        summands = " + ".join(f"{part['name']} {part['ms']:.0f}" for part in parts)
                        print(f"total_ms: {total:.0f} = {summands}")
                    case {"type": "turn_committed", "turn": turn}:
                        print("answer:", turn["assistant"])
                        return
                    case {"type": "error", "code": code, "message": sentence} if code in SHORTENED:
                        print(f"{code}: {sentence}", file=sys.stderr)
                    case {"type": "error", "code": code, "message": sentence}:
                        raise Unanswered(f"{code}: {sentence}")
            raise Unanswered("The server closed the connection before its answer was complete.")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def why(error: Exception, patience: float) -> str:
    """The sentence for the person at the terminal."""
    match error:
        case websockets.InvalidStatus(response=response):
            try:
                told = json.loads(response.body)["message"]
            except (TypeError, ValueError, KeyError):
                told = "is this the address of a conversation, as ws://host:port/v1/conversation?"
            return f"The server refused the connection with HTTP status {response.status_code}: {told}"
        case websockets.ConnectionClosed():
            return f"The server closed the connection: {error}."
        case TimeoutError():
            return f"No answer came within {patience:g} s."
        case OSError() | websockets.WebSocketException():
            return f"There is no connection to the server: {error}."
    return str(error)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="ws://host:port/v1/conversation")
    turn = parser.add_mutually_exclusive_group(required=True)
    turn.add_argument("--say", metavar="WAV", help="a recording: 16 kHz, mono, 16 bit")
    turn.add_argument("--type", metavar="TEXT", help="a typed message")
    parser.add_argument("--out", metavar="WAV", help="where the answer's audio goes")
    parser.add_argument("--patience", metavar="S", type=float, default=20, help="seconds to wait for it (default 20)")
    options, samples = parser.parse_args(), bytearray()
    try:
        say = samples_of(options.say) if options.say is not None else b""
        asyncio.run(converse(options.url, say, options.type, samples, options.patience))
    except (Unanswered, OSError, websockets.WebSocketException) as error:
        sys.exit(why(error, options.patience))
    if options.out:
        try:
            with Path(options.out).open("wb") as file, wave.open(file, "wb") as out:
                out.setparams((1, 2, 24_000, 0, "NONE", "not compressed"))
                out.writeframes(samples)
        except OSError as error:
            sys.exit(f"{options.out} cannot be written: {error.strerror}.")
