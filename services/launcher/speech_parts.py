"""The Triton part of the stack: its command, and checks that ask the models themselves.

Triton's own health stays green after a model's process has died, so a model is asked to do a little work, at
start and every few seconds. A model that does not load is named with its cause; the rest goes on without it,
in text where it must.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from services.launcher import triton
from services.launcher.supervision import Part
from services.launcher.supervisor import Command
from services.speech.recogniser import Recogniser
from services.speech.synthesiser import Synthesiser

LOADED_WITHIN = 4.0
"""Less than a check may take, so that it is asked again rather than cut off."""

Canary = Callable[[], Awaitable[object]]
"""Returns when the model did a little work; raises with the reason when it did not."""


def canaries(address: str) -> dict[str, Canary]:
    """How the models of the embedded server are asked. To be called in the event loop."""
    return {
        "pocketsphinx": Recogniser(address, "pocketsphinx").canary,
        "espeak": Synthesiser(address, "espeak").canary,
    }


class Models:
    """Whether the models of one server work, by asking each for a little work."""

    def __init__(self, address: str, canaries: Mapping[str, Canary], say: Callable[[str, bool], None]) -> None:
        self._address = address
        self._canaries = canaries
        self._say = say
        self._missing: dict[str, str] = {}
        """Models that did not load, and why."""

    async def ready(self) -> None:
        """Returns when each model has loaded and done its canary, or has said why it does not load."""
        await asyncio.gather(*(self._loaded(model) for model in self._canaries))
        await self.well()

    async def well(self) -> None:
        """Raises the first canary's error, with the name of its model."""
        await asyncio.gather(*(self._sings(model) for model in self._canaries if model not in self._missing))

    async def _loaded(self, model: str) -> None:
        try:
            await triton.wait_ready(self._address, [model], timeout=LOADED_WITHIN)
        except triton.ModelNotLoaded as error:
            if self._missing.get(model) != str(error):
                self._say(f"Parley goes on without a model: {error}", True)
            self._missing[model] = str(error)
        else:
            self._missing.pop(model, None)

    async def _sings(self, model: str) -> None:
        try:
            await self._canaries[model]()
        except Exception as error:
            raise RuntimeError(f"canary of {model}: {error or type(error).__name__}") from error


def command(server: triton.TritonServer, models: Models) -> Command:
    """The embedded tritonserver as a part."""
    return Command(
        # An idle tritonserver takes two seconds to end by itself, and the embedded models have nothing to save.
        Part("triton", ready_within=60.0, stop_within=0.2),
        server.argv,
        server.env,
        ready=models.ready,
        well=models.well,
        shared_memory=server.shm_prefix,
    )


def repository() -> Path:
    """The model repository beside the installed `services` package."""
    return Path(__file__).resolve().parents[2] / "model_repository"
