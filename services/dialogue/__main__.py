"""`python -m services.dialogue`: a dialogue worker."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import structlog
import uvloop

from services.configuration import load_or_exit
from services.contracts.characters import Character
from services.contracts.settings import SessionSettings
from services.dialogue.bus import connect
from services.dialogue.characters import CastError, load_cast
from services.dialogue.checkpoint import CheckpointStore
from services.dialogue.config import WorkerConfiguration
from services.dialogue.language import AnswerSource, EchoSource, FallbackSource, TemplateSource
from services.dialogue.language_openai import OpenAISource
from services.dialogue.session import Tools
from services.dialogue.vad import DetectionTicks, VoiceDetector
from services.dialogue.worker import Worker
from services.speech.recogniser import Recogniser
from services.speech.synthesiser import Synthesiser
from services.telemetry import build, health, lateness, logs, metrics, tracing
from services.telemetry.clocks import steady_clock

log = structlog.get_logger("dialogue")


def answer_sources(
    config: WorkerConfiguration, model: OpenAISource | None
) -> Callable[[SessionSettings, Character], AnswerSource]:
    """Who answers a session with these settings."""

    def choose(settings: SessionSettings, character: Character) -> AnswerSource:
        template = TemplateSource(character.name, seed=settings.seed or 0, detail=config.llm_detail)
        if settings.response_mode == "echo":
            return EchoSource()
        if settings.response_mode == "template" or model is None:
            return template
        if config.llm_fallback == "template":
            return FallbackSource(model, template)
        return model

    return choose


async def run(config: WorkerConfiguration) -> None:
    main = asyncio.current_task()
    assert main is not None
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, main.cancel)
    cast = load_cast(config.characters)
    async with AsyncExitStack() as resources:
        tracer = tracing.tracer("parley-dialogue", config.otlp_endpoint)
        resources.callback(tracer.close)
        recogniser = Recogniser(config.stt_addresses, config.stt_model)
        resources.push_async_callback(recogniser.close)
        synthesiser = Synthesiser(config.tts_addresses, config.tts_model)
        resources.push_async_callback(synthesiser.close)
        model = None
        if config.llm_mode == "llm":
            model = OpenAISource(
                config.llm_url,
                config.llm_model,
                config.llm_api_key.get_secret_value(),
                first_token_seconds=config.llm_first_token_seconds,
                loading_seconds=config.llm_loading_seconds,
                total_seconds=config.llm_total_seconds,
                detail=config.llm_detail,
            )
            resources.push_async_callback(model.aclose)
            await model.warm()
            loading = asyncio.create_task(model.load(), name="load-language-model")
            resources.callback(loading.cancel)
        detector = await asyncio.to_thread(VoiceDetector)
        client = await connect(config.nats_url, "dialogue")
        tools = Tools(
            clock=steady_clock(),
            ticks=DetectionTicks(detector),
            recogniser=recogniser,
            synthesiser=synthesiser,
            source=answer_sources(config, model),
            characters={one.id: one for one in cast},
            can_ask=model is not None,
            costly=model is not None and model.costly,
            speculation=config.speculation,
            tracer=tracer,
            checkpoints=await CheckpointStore.open(client, config.remember_seconds),
        )
        worker = Worker(
            client,
            tools,
            slots=config.slots,
            grace_s=config.grace_seconds,
            idle_s=config.idle_seconds,
            settings=SessionSettings(character=cast[0].id, response_mode=config.llm_mode),
        )
        await resources.enter_async_context(
            health.serve(worker.ready, metrics.WORKER, config.health_host, config.health_port)
        )
        build.announce("dialogue")
        watching = asyncio.create_task(lateness.watch(), name="lateness")
        resources.callback(watching.cancel)
        await worker.start()
        # What is there by now stays. The collector need not look at it again, so that looking at all the rest, which is
        # sessions, is soon done and is done soon: it waits until the rest has grown by a quarter of what it looks at.
        gc.collect()
        gc.freeze()
        try:
            await asyncio.Event().wait()
        finally:
            log.info("stopping")
            main.uncancel()
            await worker.stop(config.drain_seconds)


def main() -> None:
    config = load_or_exit(WorkerConfiguration)
    logs.configure("dialogue", config.log_format, config.log_level)
    try:
        with suppress(asyncio.CancelledError):
            uvloop.run(run(config))
    except CastError as error:
        print(f"configuration: PARLEY_CHARACTERS: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
