"""`longtask watch`."""

from collections.abc import Sequence

import click

from longtask_cli.cluster import Cluster
from longtask_cli.options import Call, cluster_options, complete_task, console
from longtask_cli.wait import wait, watch


@click.command("watch")
@click.argument("tasks", metavar="[TASK...]", nargs=-1, shell_complete=complete_task)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop after this time; exit code 5.")
@cluster_options
def watch_(call: Call, tasks: Sequence[str], timeout: float | None) -> int:
    """Follow tasks until they have ended; without names all that are in progress, until Ctrl-C.

    The exit code is that of the tasks: 0 if all succeeded, 1 if one failed, 3 if one was cancelled.
    """

    async def work(cluster: Cluster) -> int:
        if not tasks:
            return await watch(cluster, console(), timeout)
        found = {task.metadata.uid: task for task in [await cluster.task(name) for name in dict.fromkeys(tasks)]}
        return await wait(cluster, list(found.values()), console(), timeout)

    return call.run(work)
