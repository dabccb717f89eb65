"""`longtask artifacts`."""

from pathlib import Path

import click

from longtask_api.longtask import LongTask
from longtask_api.reports import Artifact
from longtask_cli.cluster import Cluster
from longtask_cli.commands.result import deliver
from longtask_cli.documents import written
from longtask_cli.options import Call, cluster_options, complete_task, console, note, output_option
from longtask_cli.problem import Problem
from longtask_cli.stored import content
from longtask_cli.table import table
from longtask_cli.text import size


@click.command("artifacts")
@click.argument("task", shell_complete=complete_task)
@click.argument("name", required=False)
@click.option("--to", "file", type=click.Path(), metavar="FILE", help="Write the artifact to this file or folder.")
@output_option("json", "yaml")
@cluster_options
def artifacts_(call: Call, task: str, name: str | None, file: str | None, output: str | None) -> None:
    """List what a task left beside its result; with the NAME of one, print it or write it to a file."""

    async def work(cluster: Cluster) -> None:
        found = await cluster.task(task)
        artifacts = (found.status.result.artifacts if found.status.result is not None else None) or []
        if name is not None:
            artifact = _named(found, artifacts, name)
            deliver(await content(cluster, found, f"artifact {name}", artifact), _target(file, artifact.name))
        elif output in ("json", "yaml"):
            click.echo(written([each.to_api() for each in artifacts], output), nl=False)
        elif not artifacts:
            note(f"{found.metadata.name} has no artifacts.")
        else:
            _show(artifacts)

    call.run(work)


def _show(artifacts: list[Artifact]) -> None:
    out = console()
    rows = [
        [each.name, size(each.size) if each.size is not None else "", each.media_type or "", each.uri or ""]
        for each in artifacts
    ]
    for line in table(["NAME", "SIZE", "TYPE", "PLACE"], rows, out.width if out.is_terminal else None):
        out.print(line)


def _named(task: LongTask, artifacts: list[Artifact], name: str) -> Artifact:
    found = next((each for each in artifacts if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in artifacts) or "none"
        raise Problem(f"{task.metadata.name} has no artifact {name!r}; it has: {known}")
    return found


def _target(file: str | None, name: str) -> str | None:
    """The file to write; in a folder it has the artifact's own name, without any folders of that."""
    if file is None or not Path(file).is_dir():
        return file
    own = Path(name.replace("\\", "/")).name
    if own in ("", ".", ".."):
        raise Problem(f"artifact {name!r} has no name for a file: name one with --to")
    return str(Path(file) / own)
