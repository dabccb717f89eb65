"""An operator that starts over many finished objects: how long until it is ready and has looked at all, and what
that costs. Its API server is one of the tests', which answers from memory: a real one needs an hour to be filled.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.processes import cpu_seconds, rss_peak_megabytes
from bench.workload import say
from tests.many import NAMESPACE, many
from tests.operator.process import OperatorProcess

CASES = {"5,000 tasks with Jobs and pods": (5_000, 5_000), "50,000 objects": (25_000, 12_500)}
"""Numbers of finished tasks, and of those that still have their Job and pod."""


async def measure() -> dict[str, Any]:
    """The figures of each case."""
    return {"cases": {name: await _start(*counts) for name, counts in CASES.items()}}


async def _start(tasks: int, jobs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        async with many(tasks, jobs) as server:
            process = OperatorProcess(
                NAMESPACE,
                Path(scratch, "log"),
                settings={"LEASE_DURATION_SECONDS": "60"},
                kubeconfig=server.kubeconfig(Path(scratch, "kubeconfig")),
            )
            began = time.monotonic()
            try:
                await asyncio.to_thread(process.start)
                ready = time.monotonic() - began
                await asyncio.to_thread(process.settle)
                settled = time.monotonic() - began
                assert process.process is not None
                figures = {
                    "objects": tasks + 2 * jobs,
                    "ready_seconds": round(ready, 2),
                    "settled_seconds": round(settled, 2),
                    "cpu_seconds": round(cpu_seconds(process.process.pid), 2),
                    "peak_megabytes": round(rss_peak_megabytes(process.process.pid)),
                    "writes": server.writes,
                }
            finally:
                if process.process is not None and process.process.poll() is None:
                    await asyncio.to_thread(process.stop)
    say(f"cold start over {tasks + 2 * jobs} objects: {figures}")
    return figures
