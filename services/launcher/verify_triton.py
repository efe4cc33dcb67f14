"""Holds a Triton server, any server, against the contracts of docs/triton.md. Speaks gRPC only.

The checks know nothing of the engines behind the models, except that they take speech and text.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

import grpc.aio

from services.launcher import verify_recognition, verify_synthesis
from services.launcher.verify_wire import Broken
from services.speech import wire


@dataclass(frozen=True)
class Check:
    name: str
    passed: bool
    detail: str


async def verify(url: str, recognition_model: str, synthesis_model: str) -> list[Check]:
    """Run every check against the server at `url` ("host:port", a scheme before it is ignored)."""
    address = url.split("://", 1)[-1].rstrip("/")
    checks: list[Check] = []
    async with wire.channel(address) as channel:
        stub = wire.stub(channel)
        for group, model, found in (
            ("synthesis", synthesis_model, verify_synthesis.CHECKS),
            ("recognition", recognition_model, verify_recognition.CHECKS),
        ):
            for name, check in found.items():
                checks.append(await _run(f"{group} ({model}): {name}", check(stub, model)))
    return checks


async def _run(name: str, check: Awaitable[str]) -> Check:
    try:
        return Check(name, True, await check)
    except Broken as error:
        return Check(name, False, str(error))
    except grpc.aio.AioRpcError as error:
        return Check(name, False, f"{error.code().name}: {error.details()}")


def verify_triton(url: str, recognition_model: str, synthesis_model: str) -> int:
    """`parley verify triton URL`: prints a line per check; 1 when one failed."""
    checks = asyncio.run(verify(url, recognition_model, synthesis_model))
    for check in checks:
        print(f"{'pass' if check.passed else 'FAIL'}  {check.name}: {check.detail}")
    failed = sum(not check.passed for check in checks)
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    return 1 if failed else 0
