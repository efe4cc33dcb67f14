"""The shell around `supervision`: it runs the processes, asks them how they are, and does what the core says."""

import asyncio
import contextlib
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.launcher import supervision, undertaker
from services.launcher.console import Console
from services.launcher.process import Child
from services.launcher.supervision import CheckMissed, CheckPassed, Exited, Part, Ready, StopAsked, Tick

Check = Callable[[], Awaitable[None]]
"""Returns when the part is well; raises with the reason when it is not."""

READY_ASKED_EVERY = 0.05
CHECKED_EVERY = 2.0
CHECKED_AGAIN_AFTER = 0.3
"""After a miss: whether it was more than a hiccup is to be known soon."""
CHECK_WITHIN = 5.0
LAST_WORDS = 15
"""Lines that were for the log file only, kept for when the part's end has to be explained."""
EVENTS_WAITING = 1_000
GONE_WITHIN = supervision.STOP_WITHIN + 0.5


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Command:
    """How one part is run."""

    part: Part
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: Check
    """Asked while it starts."""
    well: Check
    """Asked every few seconds from then on."""
    shared_memory: str = ""
    """What its shared-memory files begin with; they are removed after each end, since a killed process leaves them."""


class Supervisor:
    def __init__(
        self,
        commands: Sequence[Command],
        folder: Path,
        run: str,
        console: Console,
        all_ready: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._commands = {command.part.name: command for command in commands}
        self._folder = folder
        self._mark = undertaker.mark(folder, run)
        self._console = console
        self._all_ready = all_ready
        self._clock = clock
        self._state = supervision.begin(tuple(command.part for command in commands))
        self._events: asyncio.Queue[supervision.Event] = asyncio.Queue(EVENTS_WAITING)
        self._children: dict[str, Child] = {}
        self._unborn_ends: set[str] = set()
        """Parts that were to be ended before their process was there."""
        self._last_words = {name: deque[str](maxlen=LAST_WORDS) for name in self._commands}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def stop(self) -> None:
        """End all parts in order; called again, at once. For signal handlers."""
        with contextlib.suppress(asyncio.QueueFull):
            self._events.put_nowait(StopAsked())

    async def run(self) -> int:
        """Run the parts until a stop is asked for or the start has failed; the status to exit with.

        When it returns, no process of this run is left.
        """
        earlier = undertaker.mark(self._folder), [undertaker.shared_memory_prefix(self._folder)]
        if left := await asyncio.to_thread(undertaker.bury, *earlier):
            self._console.say(f"ended {left} processes that an earlier run left", trouble=True)
        watching = await self._watched_over()
        event: supervision.Event = Tick()
        try:
            while not self._gone(event):
                event = await self._next_event()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await asyncio.to_thread(undertaker.bury, self._mark, self._shared_memory())
            await watching.communicate(undertaker.ORDERLY)
        return self._state.status

    def _shared_memory(self) -> list[str]:
        return [command.shared_memory for command in self._commands.values() if command.shared_memory]

    async def _watched_over(self) -> asyncio.subprocess.Process:
        """The undertaker, which ends everything should this process be killed."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", undertaker.__file__, self._mark, *self._shared_memory()),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    def _gone(self, event: supervision.Event) -> bool:
        now = self._clock()
        self._state, actions = supervision.step(self._state, event, now)
        for action in actions:
            self._perform(action)
        stopping = self._state.stopping_since
        return self._state.finished or (stopping is not None and now > stopping + GONE_WITHIN)

    async def _next_event(self) -> supervision.Event:
        wake = supervision.wake_at(self._state)
        if self._state.stopping_since is not None:
            last = self._state.stopping_since + GONE_WITHIN
            wake = last if wake is None else min(wake, last)
        try:
            async with asyncio.timeout(None if wake is None else max(0.0, wake - self._clock())):
                return await self._events.get()
        except TimeoutError:
            return Tick()

    def _perform(self, action: supervision.Action) -> None:
        match action:
            case supervision.Start(part):
                self._tasks[part] = asyncio.create_task(self._live(self._commands[part]), name=part)
            case supervision.Terminate(part) | supervision.Kill(part):
                child = self._children.get(part)
                if child is None:
                    self._unborn_ends.add(part)
                elif isinstance(action, supervision.Kill):
                    child.kill()
                else:
                    child.terminate()
            case supervision.Say(part, text, trouble):
                self._console.say(text, part, trouble)
            case supervision.ShowLastWords(part):
                for line in self._last_words[part]:
                    self._console.say(f"  {line}", part, trouble=True)
            case supervision.AllReady():
                self._all_ready()

    async def _live(self, command: Command) -> None:
        """One life of a part, from its start to its end."""
        name = command.part.name

        def heard(line: str) -> None:
            if not self._console.hear(name, line):
                self._last_words[name].append(line)

        status = 1
        try:
            self._last_words[name].clear()
            env = {**command.env, undertaker.INSTANCE_VARIABLE: self._mark}
            child = self._children[name] = await Child.start(command.argv, env, heard)
            if name in self._unborn_ends:
                child.kill()
            watching = asyncio.create_task(self._watch(command), name=f"{name} checks")
            try:
                status = await child.wait()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        except OSError as error:
            heard(f"cannot be started: {error}")
        self._children.pop(name, None)
        self._unborn_ends.discard(name)
        await asyncio.to_thread(undertaker.remove_shared_memory, [command.shared_memory])
        await self._events.put(Exited(name, status))

    async def _watch(self, command: Command) -> None:
        name = command.part.name
        while await _reason(command.ready):  # noqa: ASYNC110 - another process cannot set an event of ours
            await asyncio.sleep(READY_ASKED_EVERY)
        await self._events.put(Ready(name))
        pause = CHECKED_EVERY
        while True:
            await asyncio.sleep(pause)
            reason = await _reason(command.well)
            await self._events.put(CheckMissed(name, reason) if reason else CheckPassed(name))
            pause = CHECKED_AGAIN_AFTER if reason else CHECKED_EVERY


async def _reason(check: Check) -> str:
    """Why a check fails, or "" when it passes."""
    try:
        async with asyncio.timeout(CHECK_WITHIN):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_WITHIN:g} s"
    except Exception as error:  # a check that breaks is a part that is not well, whatever the cause
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ""
