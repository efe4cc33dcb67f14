"""Pipecat with stand-in services of fixed latency: `python server.py --port N`, in an environment of its own.

The standard pipeline, as its documentation shows it, behind its FastAPI WebSocket transport: Silero VAD, the user
aggregator, recognition, language model, voice, output, the assistant aggregator. Only the three services are ours,
and take the time that `loadtest/models/` takes. It imports nothing of Parley.
"""

# Its packages are in that environment only.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import argparse
import asyncio
import math
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

REPLY = "Sure thing, the sky will be clear. Expect a light wind from the west and about twenty degrees."
TOKENS = [f"{word} " for word in REPLY.split()]
SAMPLE_RATE = 24_000
SECONDS_PER_CHARACTER = 0.06
CHUNK_S = 0.1
_T = np.arange(int(SAMPLE_RATE * CHUNK_S)) / SAMPLE_RATE
TONE = (np.sin(2 * math.pi * 440 * _T) * 8000).astype(np.int16).tobytes()


@dataclass(frozen=True)
class Times:
    """Seconds, as in loadtest/models/latencies.py."""

    stt: float
    llm: float
    token: float
    tts: float
    rate: float
    silence: float


class Recogniser(SegmentedSTTService):
    def __init__(self, times: Times) -> None:
        super().__init__(settings=STTSettings(model="standin", language=None), ttfs_p99_latency=times.stt)
        self._times = times

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Any, None]:
        await asyncio.sleep(self._times.stt)
        yield TranscriptionFrame("What is the weather like in Lisbon tomorrow?", "user", time_now_iso8601())


class Language(LLMService):
    def __init__(self, times: Times) -> None:
        nothing = dict.fromkeys(
            (
                "system_instruction",
                "temperature",
                "max_tokens",
                "top_p",
                "top_k",
                "frequency_penalty",
                "presence_penalty",
                "seed",
                "filter_incomplete_user_turns",
                "user_turn_completion_config",
            )
        )
        super().__init__(settings=LLMSettings(model="standin", **nothing))
        self._times = times

    async def process_frame(self, frame: Any, direction: Any) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        await asyncio.sleep(self._times.llm)
        for token in TOKENS:
            await self._push_llm_text(token)
            await asyncio.sleep(self._times.token)
        await self.push_frame(LLMFullResponseEndFrame())


class Voice(TTSService):
    def __init__(self, times: Times) -> None:
        settings = TTSSettings(model="standin", voice="standin", language=None)
        super().__init__(push_start_frame=True, push_stop_frames=True, sample_rate=SAMPLE_RATE, settings=settings)
        self._times = times

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Any, None]:
        await asyncio.sleep(self._times.tts)
        for _ in range(max(5, round(len(text) * SECONDS_PER_CHARACTER / CHUNK_S))):
            yield TTSAudioRawFrame(TONE, SAMPLE_RATE, 1, context_id=context_id)
            await asyncio.sleep(CHUNK_S * self._times.rate)


def application(times: Times, smart: bool) -> FastAPI:
    app = FastAPI()

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    @app.websocket("/ws")
    async def converse(websocket: WebSocket) -> None:
        await websocket.accept()
        parameters = FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=ProtobufFrameSerializer()
        )
        transport = FastAPIWebsocketTransport(websocket=websocket, params=parameters)
        turns: dict[str, Any] = {}
        if not smart:
            stop = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0)
            turns["user_turn_strategies"] = UserTurnStrategies(stop=[stop])
        detector = SileroVADAnalyzer(params=VADParams(stop_secs=times.silence))
        context = LLMContextAggregatorPair(
            LLMContext([{"role": "system", "content": "stand-in"}]),
            user_params=LLMUserAggregatorParams(vad_analyzer=detector, **turns),
        )
        pipeline = Pipeline(
            [
                transport.input(),
                Recogniser(times),
                context.user(),
                Language(times),
                Voice(times),
                transport.output(),
                context.assistant(),
            ]
        )
        worker = PipelineWorker(
            pipeline,
            params=PipelineParams(audio_in_sample_rate=16_000, audio_out_sample_rate=SAMPLE_RATE),
            idle_timeout_secs=None,
        )

        @transport.event_handler("on_client_disconnected")
        async def left(_transport: Any, _websocket: Any) -> None:
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    for name, default in (("stt", 0.1), ("llm", 0.2), ("token", 0.01), ("tts", 0.2), ("rate", 0.3), ("silence", 0.2)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--smart", action="store_true", help="Smart Turn decides the end of a turn, as by default")
    given = vars(parser.parse_args())
    port, smart = given.pop("port"), given.pop("smart")
    logger.remove()
    logger.add(sys.stderr, level=os.environ.get("LOG", "WARNING"))
    uvicorn.run(application(Times(**given), smart), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
