"""Holds a Triton server, any server, against the contracts of docs/triton.md. Speaks gRPC only.

The checks know nothing of the engines behind the models, except that they take speech and text.
"""

import asyncio
import re
import sys
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from services.launcher import verify_recognition, verify_synthesis
from services.launcher.verify_wire import Broken
from services.speech import wire

ANSWERS_WITHIN = 5.0
_WRAPPING = re.compile(r"^.*last error: ([A-Z_]+: )?")
"""What gRPC says before the reason of the last of its attempts."""


class NoServerError(Exception):
    """There is no server to hold to anything; the text says at which address, and why."""


@dataclass(frozen=True)
class Check:
    name: str
    passed: bool
    detail: str


async def verify(url: str, recognition_model: str, synthesis_model: str) -> list[Check]:
    """Run every check against the server at `url` ("host:port", a scheme before it is ignored).

    Raises NoServerError when none answers there.
    """
    address = url.split("://", 1)[-1].rstrip("/")
    checks: list[Check] = []
    async with wire.channel(address) as channel:
        stub = wire.stub(channel)
        await _is_there(stub, address)
        for group, model, found in (
            ("synthesis", synthesis_model, verify_synthesis.CHECKS),
            ("recognition", recognition_model, verify_recognition.CHECKS),
        ):
            for name, check in found.items():
                checks.append(await _run(f"{group} ({model}): {name}", check(stub, model)))
    return checks


async def _is_there(stub: Any, address: str) -> None:
    try:
        await stub.RepositoryIndex(wire.index_request(), timeout=ANSWERS_WITHIN)
    except grpc.aio.AioRpcError as error:
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return  # something answers; the checks say how well
        reason = _WRAPPING.sub("", error.details() or error.code().name)
        raise NoServerError(
            f"no Triton server answers at {address} ({reason}); the address is that of its gRPC, host:port"
        ) from error


async def _run(name: str, check: Awaitable[str]) -> Check:
    try:
        return Check(name, True, await check)
    except Broken as error:
        return Check(name, False, str(error))
    except grpc.aio.AioRpcError as error:
        return Check(name, False, f"{error.code().name}: {error.details()}")


def verify_triton(url: str, recognition_model: str, synthesis_model: str) -> int:
    """`parley verify triton URL`: prints a line per check; 1 when one failed, 2 when no server is there."""
    try:
        checks = asyncio.run(verify(url, recognition_model, synthesis_model))
    except NoServerError as error:
        print(f"parley: {error}", file=sys.stderr)
        return 2
    for check in checks:
        print(f"{'pass' if check.passed else 'FAIL'}  {check.name}: {check.detail}")
    failed = sum(not check.passed for check in checks)
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    return 1 if failed else 0
