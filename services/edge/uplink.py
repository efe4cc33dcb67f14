"""What a client says while nobody can take it: NATS is away, or the session is between two workers.

Pure: the time is passed in, in seconds of any one clock.
"""

from collections import deque
from typing import NamedTuple

MAX_AUDIO_AGE_SECONDS = 0.5
MAX_AUDIO_FRAMES = 100
MAX_COMMANDS = 64
MAX_COMMAND_BYTES = 256 * 1024


class Held(NamedTuple):
    number: int
    at: float
    message: bytes
    is_audio: bool


class Uplink:
    """A bounded queue in order of arrival. Audio that is too old goes first; commands are kept up to a bound."""

    def __init__(self) -> None:
        self._audio: deque[Held] = deque()
        self._commands: deque[Held] = deque()
        self._command_bytes = 0
        self._count = 0
        self.dropped_audio = 0
        """Frames that became too old here, since the beginning."""

    def __len__(self) -> int:
        return len(self._audio) + len(self._commands)

    def hold_audio(self, frame: bytes, now: float) -> None:
        """Keep a frame for `MAX_AUDIO_AGE_SECONDS`; beyond the bound the oldest leaves."""
        self._count += 1
        self._audio.append(Held(self._count, now, frame, True))
        self._expire(now)

    def hold_command(self, command: bytes, now: float) -> bool:
        """Keep a command until it can be sent. False: the queue is full, and the command is not kept."""
        if len(self._commands) >= MAX_COMMANDS or self._command_bytes + len(command) > MAX_COMMAND_BYTES:
            return False
        self._count += 1
        self._commands.append(Held(self._count, now, command, False))
        self._command_bytes += len(command)
        return True

    def take(self, now: float) -> Held | None:
        """The oldest that is still of use, which leaves the queue; None when there is nothing."""
        self._expire(now)
        audio, commands = self._audio, self._commands
        if audio and (not commands or audio[0].number < commands[0].number):
            return audio.popleft()
        if not commands:
            return None
        held = commands.popleft()
        self._command_bytes -= len(held.message)
        return held

    def give_back(self, held: Held) -> None:
        """What `take` gave last could not be sent: it is the oldest again."""
        if held.is_audio:
            self._audio.appendleft(held)
        else:
            self._commands.appendleft(held)
            self._command_bytes += len(held.message)

    def _expire(self, now: float) -> None:
        audio = self._audio
        while audio and (now - audio[0].at > MAX_AUDIO_AGE_SECONDS or len(audio) > MAX_AUDIO_FRAMES):
            audio.popleft()
            self.dropped_audio += 1
