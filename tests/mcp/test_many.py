"""How much memory the MCP server needs over many tasks of one caller: within the chart's limit, and not more with each
that comes and goes.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.limited import MEBIBYTE, chart_limit, limited, memory, stops_growing
from tests.many import NAMESPACE, Many, many, task
from tests.mcp.replica import Agent, Replica, agent, running
from tests.mcp.world import eventually


@pytest.fixture
def group() -> Iterator[Path | None]:
    with limited("mcp") as made:
        yield made


@asynccontextmanager
async def server_over(tasks: Many, folder: Path, group: Path | None = None) -> AsyncIterator[Replica]:
    """A server whose API server that is, with one caller for everybody."""
    kubeconfig = Path(tasks.kubeconfig(folder / "kubeconfig"))
    async with running(kubeconfig, NAMESPACE, folder, group, auth="none") as replica:
        yield replica


async def read(caller: Agent) -> list[str]:
    """The ids of all tasks that a caller sees, page by page."""
    seen, cursor = list[str](), dict[str, str]()
    while True:
        page = (await caller.call("list_tasks", limit=100, **cursor)).envelope
        seen += [task["task_id"] for task in page["tasks"]]
        if "cursor" not in page:
            return seen
        cursor = {"cursor": page["cursor"]}


@pytest.mark.parametrize("count", [0, 5_000, 20_000])
async def test_many_tasks_of_one_caller_stay_within_the_charts_limit(
    count: int, group: Path | None, tmp_path: Path
) -> None:
    async with many(count) as tasks, server_over(tasks, tmp_path, group) as replica, agent(replica.url, None) as caller:
        seen = await read(caller)
        assert len(seen) == len(set(seen)) == count
        for uid in seen[:3] + seen[-3:]:
            assert "completed" in (await caller.call("get_task_results", task_id=uid)).text
        most, now = memory(replica.process.pid, "VmHWM"), memory(replica.process.pid, "VmRSS")
        print(f"{count} tasks: {now:.0f} MiB, at most {most:.0f} MiB")
        assert most < chart_limit("mcp") / MEBIBYTE * 0.75, "little is left of the limit for what callers send"


async def test_tasks_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    async with many() as tasks, server_over(tasks, tmp_path) as replica:

        async def all_sent() -> bool:
            return tasks.all_sent()

        async def come_and_go(first: int, count: int) -> None:
            for number in range(first, first + count):
                tasks.version += 1
                for event in ("ADDED", "DELETED"):
                    tasks.tell("tasks", event, task(number, tasks.version))
                if number % 20 == 0:
                    await eventually(all_sent, "every event is sent")
            await eventually(all_sent, "every event is sent")

        await stops_growing(lambda: memory(replica.process.pid, "VmRSS"), come_and_go)

        async def forgotten() -> bool:
            return await replica.metric("longtask_mcp_cached_tasks ") == 0

        await eventually(forgotten, "no task is left in the cache")
