"""`parley up`: the whole stack on this machine."""

import asyncio
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values

from services.configuration import ConfigurationError, load_or_exit
from services.launcher import (
    answer_source,
    instance,
    part_configurations,
    parts,
    ports,
    speech_parts,
    triton,
    undertaker,
)
from services.launcher.answer_source import AnswerSource, AnswerSourceError
from services.launcher.config import LauncherConfiguration
from services.launcher.console import Console
from services.launcher.instance import Instance, NoRoomError, Running
from services.launcher.parts import Ports
from services.launcher.ports import NoHostError, NoPortError
from services.launcher.supervisor import Command, Supervisor
from services.launcher.triton import TritonMissing, TritonPorts

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def up(verbose: bool = False) -> int:
    """Start everything and supervise it until Ctrl-C or SIGTERM. The exit status."""
    configuration = load_or_exit(LauncherConfiguration)
    try:
        speculation = part_configurations.check().speculation
    except ConfigurationError as error:
        print(f"configuration: {error}", file=sys.stderr)
        return 2
    try:
        mine = instance.claim(configuration.state_dir)
    except NoRoomError as error:
        print(f"parley: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"configuration: {instance.unusable(configuration.state_dir, error)}", file=sys.stderr)
        return 2
    console = Console(sys.stdout, mine.log_file, verbose)
    try:
        return asyncio.run(_up(configuration, speculation, mine, console))
    except (AnswerSourceError, NoPortError, TritonMissing, OSError) as error:
        console.say(str(error), trouble=True)
        console.say("`parley doctor` looks at everything that is needed.")
        return 2 if isinstance(error, AnswerSourceError | NoHostError) else 1
    except KeyboardInterrupt:
        return 130
    finally:
        console.close()
        mine.release()


async def _up(
    configuration: LauncherConfiguration, speculation: Literal["auto", "on", "off"], mine: Instance, console: Console
) -> int:
    begun = time.monotonic()
    console.say(f"Parley {version('parley')}, log in {_shown(mine.log_file)}")
    chosen = choose_ports(configuration.host, configuration.port)
    if chosen.page != configuration.port:
        console.say(f"port {configuration.port} is taken, so the page is on port {chosen.page}", trouble=True)
    answers = await answer_source.choose(
        configuration.llm_mode,
        configuration.llm_url,
        configuration.llm_api_key.get_secret_value(),
        configuration.llm_model,
    )
    page = f"{parts.reachable(configuration.host)}:{chosen.page}"
    url = f"http://{page}"

    def announce() -> None:
        mine.announce(Running(os.getpid(), url, answers.mode, f"127.0.0.1:{chosen.triton_grpc}", {"page": chosen.page}))
        mine.offer_metrics(
            {
                "edge": page,
                "worker": f"127.0.0.1:{chosen.worker_health}",
                "triton": f"127.0.0.1:{chosen.triton_metrics}",
            }
        )
        console.say(f"everything is ready after {time.monotonic() - begun:.1f} s")
        console.say(answers.detail)
        console.say(answer_source.preparing(answers, speculation))
        if configuration.host not in LOOPBACK:
            console.say(
                "Other machines' browsers give a page no microphone over plain HTTP: put HTTPS in front for them.",
                trouble=True,
            )
        console.say(f"Talk at {url}")
        console.say("Ctrl-C stops everything.")

    supervisor = Supervisor(
        stack(configuration, mine, chosen, answers, console, os.environ), mine.folder, mine.run, console, announce
    )

    def stop() -> None:
        console.say("stopping")
        supervisor.stop()

    loop = asyncio.get_running_loop()
    for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(asked, stop)
    status = await supervisor.run()
    console.say("everything has ended")
    return status


def choose_ports(host: str, page: int) -> Ports:
    """A free port for each part. Raises NoPortError and ports.NoHostError."""
    found = ports.internal(6, random.Random())
    return Ports(ports.page(host, page), *found)


def stack(
    configuration: LauncherConfiguration,
    mine: Instance,
    chosen: Ports,
    answers: AnswerSource,
    console: Console,
    environment: Mapping[str, str],
) -> list[Command]:
    """The commands of all parts. Raises triton.TritonMissing."""
    # Parts that are not ours, such as Triton's models, do not read `.env` themselves.
    in_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    settings = {**in_file, **environment}
    base = parts.base_environment(settings, configuration.log_format)
    token = secrets.token_hex(16)
    nats_url = f"nats://{token}@127.0.0.1:{chosen.nats}"
    server = triton.prepare(
        speech_parts.repository(),
        mine.folder,
        TritonPorts(grpc=chosen.triton_grpc, http=chosen.triton_http, metrics=chosen.triton_metrics),
        name=undertaker.shared_memory_prefix(mine.folder) + mine.run,
        environment=base,
    )
    speech: dict[str, str] = {}
    for kind, given, model in (
        ("STT", configuration.stt_addresses, "pocketsphinx"),
        ("TTS", configuration.tts_addresses, "espeak"),
    ):
        addresses, name = f"PARLEY_{kind}_ADDRESSES", f"PARLEY_{kind}_MODEL"
        if given:
            console.say(f"{addresses} is set: {settings.get(name) or model} at {given} is used")
        speech[addresses] = given or server.grpc_address
        speech[name] = settings.get(name) or model
    models = speech_parts.Models(
        server.grpc_address,
        speech_parts.canaries(server.grpc_address),
        lambda text, trouble: console.say(text, "triton", trouble),
    )
    return [
        parts.nats(mine.folder, chosen, token, base),
        speech_parts.command(server, models),
        parts.worker(nats_url, chosen, answers, speech, base),
        parts.edge(nats_url, configuration.host, chosen, mine.secret(), base),
    ]


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
