"""`parley doctor`: what is missing or wrong on this machine, in plain words."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TextIO

from services.configuration import ConfigurationError, load, misspelt
from services.launcher import (
    answer_source,
    doctor_checks,
    http,
    instance,
    part_configurations,
    speech_parts,
    undertaker,
)
from services.launcher.answer_source import AnswerSourceError
from services.launcher.config import LauncherConfiguration
from services.launcher.doctor_checks import Finding, bad, ok, warn
from services.launcher.instance import Running

COLOURS = {"ok": "32", "warn": "33", "bad": "31"}
ASKED_WITHIN = 2.0


def doctor(out: TextIO = sys.stdout) -> int:
    """Print what is found; 1 when something that is needed is wrong."""
    return report(_all(), out)


def report(findings: Iterator[Finding] | Sequence[Finding], out: TextIO) -> int:
    """Print each finding as it comes, and what to do about it."""
    counts = dict.fromkeys(COLOURS, 0)
    for finding in findings:
        counts[finding.level] += 1
        level = f"{finding.level:<4}"
        if out.isatty():
            level = f"\033[{COLOURS[finding.level]}m{level}\033[0m"
        print(f"{level}  {finding.what}", file=out, flush=True)
        if finding.todo:
            print(f"      → {finding.todo}", file=out, flush=True)
    if counts["bad"]:
        print(f"\n{counts['bad']} of {sum(counts.values())} things are wrong and needed.", file=out)
        return 1
    print("\nEverything that is needed is here. `make run` or `parley up` starts Parley.", file=out)
    return 0


def _all() -> Iterator[Finding]:
    yield from doctor_checks.machine()
    yield from doctor_checks.python()
    yield from doctor_checks.libpython()
    yield from doctor_checks.packages(speech_parts.repository().parent / "requirements.lock")
    yield from doctor_checks.numpy()
    yield from doctor_checks.nats()
    yield from doctor_checks.speech_data()
    yield from doctor_checks.shared_memory()
    yield from doctor_checks.browser()
    try:
        configuration = load(LauncherConfiguration)
        speculation = part_configurations.check().speculation
    except ConfigurationError as error:
        for line in str(error).splitlines():
            yield from bad(line, "correct it in the environment or in .env")
        return
    strange = misspelt()
    for sentence in strange:
        yield from warn(sentence, "docs/configuration.md has all variables")
    if not strange:
        yield from ok("configuration")
    yield from doctor_checks.disk(configuration.state_dir)
    yield from doctor_checks.tritonserver(configuration.state_dir, speech_parts.repository())
    stacks = _stacks(configuration.state_dir)
    yield from asyncio.run(_running(stacks))
    yield from doctor_checks.page_port(configuration.host, configuration.port, list(stacks.values()))
    yield from asyncio.run(_answers(configuration, speculation))


async def _answers(configuration: LauncherConfiguration, speculation: Literal["auto", "on", "off"]) -> list[Finding]:
    try:
        source = await answer_source.choose(
            configuration.llm_mode,
            configuration.llm_url,
            configuration.llm_api_key.get_secret_value(),
            configuration.llm_model,
        )
    except AnswerSourceError as error:
        return bad(str(error), "correct it in the environment or in .env")
    found = warn(source.detail, "see docs/configuration.md") if source.doubtful else ok(source.detail)
    return found + ok(answer_source.preparing(source, speculation))


def _stacks(state: Path) -> dict[Path, Running]:
    """The stacks that run on this machine, by their folder: from this state folder, and from others."""
    folders = sorted({*(folder.resolve() for folder in instance.folders(state)), *undertaker.folders()})
    return {folder: running for folder in folders if (running := instance.running_in(folder))}


async def _running(stacks: Mapping[Path, Running]) -> list[Finding]:
    """Each stack is asked whether it can take a conversation."""
    found: list[Finding] = []
    for folder, running in stacks.items():
        try:
            status, body = await http.get(f"{running.url}/readyz", ASKED_WITHIN)
            reason = "" if status == 200 else body[:200].decode(errors="replace")
        except http.NoAnswerError as error:
            reason = str(error)
        if reason:
            found += warn(
                f"a stack runs at {running.url} but is not ready: {reason}", f"look into {folder}/log/parley.log"
            )
        else:
            found += ok(f"a stack runs at {running.url} (process {running.pid}, folder {folder})")
    return found or ok("no stack is running")
