"""A namespace with 5,000 tasks: what a list costs is bounded, and other commands do not list at all."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import tests.many
from tests.cli.program import SOURCES
from tests.many import NAMESPACE, Many, many, task
from tests.patience import PATIENCE

TASKS = 5000
MEASURE = """
import resource, sys
from longtask_cli.__main__ import main
sys.argv = ["longtask", *sys.argv[1:]]
code = main()
sys.stdout.flush()
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak) // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_utime, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Many]:
    async with many(tasks=TASKS, templates=3, holder="operator-1") as server:
        yield server


def environment_of(server: Many, folder: Path) -> dict[str, str]:
    """Variables of the command line for that server."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": SOURCES,
        "KUBECONFIG": server.kubeconfig(folder / "config"),
        "LONGTASK_NAMESPACE": NAMESPACE,
        "HOME": str(folder),
    }


async def ran(server: Many, folder: Path, *arguments: str) -> tuple[str, int, float]:
    """Output of a command, its memory at most in MiB, and its CPU time in seconds."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MEASURE, *arguments),
        env=environment_of(server, folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode == 0, err
    memory, seconds = err.decode().splitlines()[-1].split()
    return out.decode(), int(memory), float(seconds)


async def test_a_list_of_thousands_is_read_in_pages_and_costs_little(server: Many, tmp_path: Path) -> None:
    none = (await ran(server, tmp_path, "templates", "list"))[1:]
    out, memory, seconds = await ran(server, tmp_path, "list", "--limit", "0")
    assert len(out.splitlines()) == TASKS + 1
    assert memory - none[0] < 30
    assert seconds - none[1] < 5
    shown = (await ran(server, tmp_path, "list"))[0]
    assert len(shown.splitlines()) == 101


@pytest.mark.parametrize("output", ["json", "yaml"])
async def test_whole_tasks_are_written_as_they_are_read(server: Many, tmp_path: Path, output: str) -> None:
    none = (await ran(server, tmp_path, "templates", "list"))[1]
    server.counts["tasks"] = 500 if output == "yaml" else TASKS  # YAML takes 5 ms each
    try:
        out, memory, _ = await ran(server, tmp_path, "list", "-o", output)
    finally:
        server.counts["tasks"] = TASKS
    assert memory - none < 30
    if output == "json":
        assert len(json.loads(out)["items"]) == TASKS


async def test_one_of_thousands_is_found_without_a_list(server: Many, tmp_path: Path) -> None:
    asked: list[Any] = []
    page = server._page
    server._page = lambda *arguments: asked.append(arguments) or page(*arguments)  # type: ignore[method-assign, func-returns-value]
    try:
        assert "model-training-77" in (await ran(server, tmp_path, "show", "model-training-77"))[0]
        assert asked == []
    finally:
        server._page = page  # type: ignore[method-assign]


async def test_how_a_task_ended_is_read_once(server: Many, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a watch of all that is in progress, which runs for days."""
    read: list[int] = []
    text = tests.many._text

    def counted(kind: str, number: int, version: int) -> str:
        read.append(number)
        return text(kind, number, version)

    monkeypatch.setattr("tests.many._text", counted)

    def tell(number: int, event: str) -> None:
        server.version += 1
        document = task(number, number + 1)
        document["metadata"]["resourceVersion"] = str(server.version)
        server.tell("tasks", event, document | {"status": {"phase": "Running"}})

    command = [sys.executable, "-m", "longtask", "watch"]
    environment = environment_of(server, tmp_path)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = asyncio.ensure_future(process.stdout.readline())
            while not line.done():  # until it watches
                tell(0, "ADDED")
                await asyncio.sleep(0.1)
            assert b"Running" in await line
            for number in range(25):
                tell(number, "DELETED")
                assert b"Succeeded" in await process.stdout.readline()
                tell(number + 1, "ADDED")
                assert b"Running" in await process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()
    assert read == list(range(25))
    assert (process.returncode, rest) == (130, b"")
