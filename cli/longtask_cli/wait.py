"""Waits for the end of tasks, and says how they have ended."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import click
from rich.console import Console

from longtask_api import constants
from longtask_api.longtask import LongTask
from longtask_cli.bars import View
from longtask_cli.cluster import Cluster, task_of
from longtask_cli.follow import Following, following
from longtask_cli.options import note
from longtask_cli.problem import CANCELLED, FAILED, INTERRUPTED, SUCCEEDED, TIMED_OUT, UNABLE
from longtask_cli.state import ended, exit_code, phase, took
from longtask_cli.text import duration, line, lines
from longtask_runtime import clock

SHOWN_LOG_LINES = 10
KEPT_ENDS = 20
"""Tasks that have ended and are still shown, where all are followed."""


async def wait(cluster: Cluster, tasks: Sequence[LongTask], console: Console, seconds: float | None) -> int:
    """Show the tasks until all have ended; the exit code of the worst end. After `seconds` only the wait ends."""
    try:
        async with asyncio.timeout(seconds):
            followed = await _followed(cluster, tasks, console)
    except TimeoutError:
        note(f"not ended within {duration(timedelta(seconds=seconds or 0))}; {_goes_on(tasks)}")
        return TIMED_OUT
    except asyncio.CancelledError:  # Ctrl-C
        note(f"interrupted; {_goes_on(tasks)}")
        raise click.exceptions.Exit(INTERRUPTED) from None
    ends = [followed.tasks.known[task.metadata.uid] for task in tasks]
    for task in ends:
        note(outcome(task))
    codes = [exit_code(task) if task.is_terminal else UNABLE for task in ends]
    return next(code for code in (FAILED, CANCELLED, UNABLE, SUCCEEDED) if code in codes)


async def watch(cluster: Cluster, console: Console, seconds: float | None) -> int:
    """Show all tasks of the namespace that are in progress, and how they end, until Ctrl-C or for `seconds`."""
    try:
        async with asyncio.timeout(seconds), following(cluster, None) as followed:
            with View(console) as view:
                ended: list[str] = []
                while True:
                    ended += await _look_up_ends(cluster, followed, ended)
                    followed.tasks.forget(ended[:-KEPT_ENDS])
                    del ended[:-KEPT_ENDS]
                    tasks = list(followed.tasks.known.values())
                    view.show(tasks, followed.tasks.gone, clock.now(), followed.silent_seconds)
                    await followed.changes()
    except TimeoutError:
        return TIMED_OUT
    except asyncio.CancelledError:  # Ctrl-C
        raise click.exceptions.Exit(INTERRUPTED) from None


async def _followed(cluster: Cluster, tasks: Sequence[LongTask], console: Console) -> Following:
    async with following(cluster, tasks) as followed:
        with View(console) as view:
            while True:
                now = [followed.tasks.known[task.metadata.uid] for task in tasks]
                view.show(now, followed.tasks.gone, clock.now(), followed.silent_seconds)
                if all(task.is_terminal or task.metadata.uid in followed.tasks.gone for task in now):
                    return followed
                await followed.changes()


async def _look_up_ends(cluster: Cluster, followed: Following, known: Sequence[str]) -> list[str]:
    """Read how tasks ended that are no longer in progress, if they were not deleted; their uids, without `known`."""
    found = [uid for uid in followed.tasks.gone if uid not in known]
    for uid in found:
        document = await cluster.named(constants.TASK_PLURAL, followed.tasks.known[uid].metadata.name)
        if document is not None and document["metadata"]["uid"] == uid:
            followed.tasks.known[uid] = task_of(document)
    return found


def outcome(task: LongTask) -> str:
    """How a task has ended and what to do now, in lines for stderr."""
    name = task.metadata.name
    if not task.is_terminal:
        return f"{name} was deleted before it had ended; its outcome is unknown"
    said = " ".join(part for part in (name, phase(task).lower(), took(task)) if part)
    if more := ended(task):
        said += f": {line(more)}"
    failure = task.status.failure
    if failure is None:
        result = task.status.result
        return f"{said}\nlongtask result {name}" if result is not None and result.has_content else said
    if failure.log_tail:
        tail = lines(failure.log_tail).rstrip("\n").split("\n")[-SHOWN_LOG_LINES:]
        said = "\n".join([said, "end of the log:", *(f"  {each}" for each in tail)])
    return f"{said}\nhint: {line(failure.hint)}" if failure.hint else said


def _goes_on(tasks: Sequence[LongTask]) -> str:
    names = " ".join(task.metadata.name for task in tasks)
    which = "the task goes on" if len(tasks) == 1 else "the tasks go on"
    return f"{which}: `longtask watch {names}` shows it, `longtask cancel {names}` ends it"
