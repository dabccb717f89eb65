"""`longtask result`."""

import json
import os
import sys
import tempfile
from pathlib import Path

import click

from longtask_api.longtask import LongTask, Phase
from longtask_cli.cluster import Cluster
from longtask_cli.options import Call, cluster_options, complete_task, note
from longtask_cli.problem import Problem
from longtask_cli.state import doing, ended, phase
from longtask_cli.stored import content
from longtask_cli.text import lines
from longtask_runtime import clock


@click.command("result")
@click.argument("task", shell_complete=complete_task)
@click.option("-o", "--output", "file", type=click.Path(dir_okay=False), metavar="FILE", help="Write it to this file.")
@cluster_options
def result_(call: Call, task: str, file: str | None) -> None:
    """Print the result of a task: its JSON or its text, byte for byte if it is stored outside the task."""

    async def work(cluster: Cluster) -> None:
        found = await cluster.task(task)
        data = await _result(cluster, found)
        if found.status.phase is not Phase.SUCCEEDED:
            note(f"note: {found.metadata.name} {phase(found).lower()}; this is what it had handed in before")
        deliver(data, file)

    call.run(work)


async def _result(cluster: Cluster, task: LongTask) -> bytes:
    result, name = task.status.result, task.metadata.name
    if not task.is_terminal:
        raise Problem(
            f"{name} has no result yet: it is {': '.join(p for p in (phase(task), doing(task, clock.now())) if p)}. "
            f"`longtask watch {name}` waits for its end"
        )
    if result is None or not result.has_content:
        why = f"{name} {phase(task).lower()} without a result"
        if task.status.phase is Phase.SUCCEEDED:
            names = [each.name for each in (result.artifacts if result is not None else None) or []]
            more = f"; it left artifacts: `longtask artifacts {name}`" if names else ""
            raise Problem(f"{why}{more}")
        raise Problem(f"{why}: {ended(task)}. `longtask show {name}` says more")
    if result.reference is not None:
        return await content(cluster, task, f"the result of {name}", result.reference)
    if result.text is not None:
        return result.text.encode(errors="surrogatepass")
    return (json.dumps(result.value, ensure_ascii=False, indent=2) + "\n").encode(errors="surrogatepass")


def deliver(data: bytes, file: str | None) -> None:
    """Write bytes to a file, whole or not at all, or to stdout; to a terminal only as text that it does not obey."""
    if file is not None and file != "-":
        _write(Path(file), data)
        note(f"{len(data)} bytes written to {file}")
        return
    if not sys.stdout.isatty():
        click.echo(data, nl=False)
        return
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Problem(f"these {len(data)} bytes are no text for a terminal; write them with -o FILE") from None
    click.echo(lines(text), nl=not text.endswith("\n"))


def _write(file: Path, data: bytes) -> None:
    try:
        if file.exists() and not file.is_file():  # a device or a pipe
            file.write_bytes(data)
            return
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:100]}.")
        try:
            with open(handle, "wb") as there:
                there.write(data)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, file.stat().st_mode if file.exists() else 0o666 & ~mask)
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise Problem(f"{file} cannot be written: {error.strerror}") from error
