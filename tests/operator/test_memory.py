"""How much memory the operator needs: over many tasks that have ended, within the chart's limit, and not more with each
that comes and goes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.kube import eventually
from tests.limited import MEBIBYTE, chart_limit, limited, memory, stops_growing
from tests.many import NAMESPACE, Many, job, many, pod, task
from tests.operator.process import OperatorProcess
from tests.patience import PATIENCE


@pytest.fixture
def group() -> Iterator[Path | None]:
    with limited("operator") as made:
        yield made


@contextlib.asynccontextmanager
async def operator(server: Many, folder: Path, group: Path | None = None) -> AsyncIterator[OperatorProcess]:
    """An operator whose API server that is; ready when the block begins."""
    process = OperatorProcess(
        NAMESPACE,
        folder / "log",
        settings={"LEASE_DURATION_SECONDS": "120"},  # the API server is this busy process
        kubeconfig=server.kubeconfig(folder / "kubeconfig"),
        within=group,
    )
    try:
        await asyncio.to_thread(process.start)
        yield process
    finally:
        if process.process is not None and process.process.poll() is None:
            await asyncio.to_thread(process.stop)


def used(process: OperatorProcess, field: str) -> float:
    """VmRSS or VmHWM (the most so far) of the operator, in MiB."""
    assert process.process is not None
    return memory(process.process.pid, field)


@pytest.mark.parametrize(("tasks", "jobs"), [(0, 0), (5_000, 5_000), (20_000, 5_000)])
async def test_a_start_over_many_ended_tasks_stays_within_the_charts_limit(
    tasks: int, jobs: int, group: Path | None, tmp_path: Path
) -> None:
    async with many(tasks, jobs) as server, operator(server, tmp_path, group) as process:
        await asyncio.to_thread(process.settle)
        most, now = used(process, "VmHWM"), used(process, "VmRSS")
        print(f"{tasks} tasks, {jobs} with Jobs and pods: {now:.0f} MiB, at most {most:.0f} MiB")
        assert most < chart_limit("operator") / MEBIBYTE * 0.75, "little is left of the limit for what tasks report"


@pytest.mark.parametrize("holder", [None, "another-replica"], ids=["leader", "standby"])
async def test_tasks_that_come_and_go_leave_nothing_behind(holder: str | None, tmp_path: Path) -> None:
    async with many(holder=holder) as server, operator(server, tmp_path) as process:

        async def sent() -> None:
            async with asyncio.timeout(PATIENCE):
                while not server.all_sent():  # noqa: ASYNC110 - the server is in this loop
                    await asyncio.sleep(0.01)

        async def come_and_go(first: int, count: int) -> None:
            for number in range(first, first + count):
                version = server.version = server.version + 1
                # A pod tells of its task, whose Job is never seen, a third of the time.
                kinds = (
                    [("tasks", task), ("pods", pod)]
                    if number % 3 == 0
                    else [("tasks", task), ("jobs", job), ("pods", pod)]
                )
                for event in ("ADDED", "DELETED"):
                    for kind, make in kinds:
                        server.tell(kind, event, make(number, version))
                if number % 20 == 0:
                    await sent()
            await sent()

        await stops_growing(lambda: used(process, "VmRSS"), come_and_go)
        await asyncio.to_thread(eventually, lambda: process.metric("longtask_queue_length"), lambda length: length == 0)


async def test_every_line_of_the_log_is_json_until_the_end(tmp_path: Path) -> None:
    async with many() as server, operator(server, tmp_path) as process:
        await asyncio.to_thread(process.settle)
        assert await asyncio.to_thread(process.stop) == 0
    lines = await asyncio.to_thread((tmp_path / "log").read_text)
    assert [json.loads(line)["message"] for line in lines.splitlines()]
