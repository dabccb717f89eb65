"""`longtask show`."""

import click

from longtask_api import constants
from longtask_cli.cluster import Cluster, task_of
from longtask_cli.documents import written
from longtask_cli.options import KIND, Call, cluster_options, complete_task, console, output_option
from longtask_cli.timeline import shown
from longtask_runtime import clock


@click.command("show")
@click.argument("task", shell_complete=complete_task)
@output_option("name", "json", "yaml")
@cluster_options
def show_(call: Call, task: str, output: str | None) -> None:
    """Show one task: what happened to it, what it waits for, how it ended."""

    async def work(cluster: Cluster) -> None:
        document = await cluster.document(constants.TASK_PLURAL, task)
        if output == "name":
            click.echo(f"{KIND}/{document['metadata']['name']}")
        elif output in ("json", "yaml"):
            click.echo(written(document, output), nl=False)
        else:
            out = console()
            for line in shown(task_of(document), clock.now()):
                out.print(line)

    call.run(work)
