"""`longtask cancel`, `suspend` and `resume`."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import click

from longtask_api.longtask import LongTask
from longtask_cli.cluster import Cluster
from longtask_cli.options import KIND, Call, cluster_options, complete_task, console
from longtask_cli.problem import UNABLE, Problem
from longtask_cli.state import phase
from longtask_cli.wait import wait

Change = Callable[[Cluster, LongTask], Coroutine[Any, Any, str]]
"""Changes a task that has not ended, and returns what was done, in a word."""


@click.command("cancel")
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True, shell_complete=complete_task)
@click.option("--wait", "waits", is_flag=True, help="Wait until they have ended; the exit code is 3 once cancelled.")
@cluster_options
def cancel_(call: Call, tasks: Sequence[str], waits: bool) -> int:
    """End tasks; their log is kept. It cannot be undone."""

    async def work(cluster: Cluster) -> int:
        changed, code = await _each(cluster, tasks, _cancel)
        if not (waits and changed):
            return code
        return await wait(cluster, changed, console("stderr"), None) or code

    return call.run(work)


@click.command("suspend")
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True, shell_complete=complete_task)
@cluster_options
def suspend_(call: Call, tasks: Sequence[str]) -> int:
    """Stop tasks until they are resumed: pods and their log go, the checkpoint stays."""

    async def work(cluster: Cluster) -> int:
        return (await _each(cluster, tasks, _suspend))[1]

    return call.run(work)


@click.command("resume")
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True, shell_complete=complete_task)
@cluster_options
def resume_(call: Call, tasks: Sequence[str]) -> int:
    """Let suspended tasks go on, from their last checkpoint."""

    async def work(cluster: Cluster) -> int:
        return (await _each(cluster, tasks, _resume))[1]

    return call.run(work)


async def _each(cluster: Cluster, names: Sequence[str], change: Change) -> tuple[list[LongTask], int]:
    """Change each task, and say so; those that could be changed, and the exit code. One problem does not end it."""
    changed, code = [], 0
    for name in dict.fromkeys(names):
        try:
            task = await cluster.task(name, exactly=True)
            if task.is_terminal:
                click.echo(f"{KIND}/{task.metadata.name} has already ended ({phase(task)})")
                continue
            click.echo(f"{KIND}/{task.metadata.name} {await change(cluster, task)}")
            changed.append(task)
        except Problem as problem:
            problem.show()
            code = UNABLE
    return changed, code


async def _cancel(cluster: Cluster, task: LongTask) -> str:
    if task.spec.cancel_requested:
        return "is already being cancelled"
    await cluster.change(task, "cancelRequested", True)
    return "cancel requested"


async def _suspend(cluster: Cluster, task: LongTask) -> str:
    if task.spec.suspend:
        return "is already suspended"
    await cluster.change(task, "suspend", True)
    return "suspend requested"


async def _resume(cluster: Cluster, task: LongTask) -> str:
    if not task.spec.suspend:
        return "is not suspended"
    await cluster.change(task, "suspend", False)
    return "resumed"
