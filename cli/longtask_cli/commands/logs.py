"""`longtask logs`."""

import sys
from contextlib import aclosing

import click

from longtask_api.longtask import Attempt, LongTask
from longtask_cli.cluster import Cluster
from longtask_cli.follow import Following, following
from longtask_cli.options import Call, cluster_options, complete_task, note
from longtask_cli.podlog import NoLog, log_lines
from longtask_cli.problem import Problem
from longtask_cli.state import doing, phase
from longtask_cli.text import lines
from longtask_runtime import clock


@click.command("logs")
@click.argument("task", shell_complete=complete_task)
@click.option("-f", "--follow", is_flag=True, help="Print what is written until the task has ended, in all attempts.")
@click.option("--tail", type=click.IntRange(min=0), metavar="LINES", help="Only so many lines of the end.")
@click.option("--attempt", "number", type=click.IntRange(min=1), metavar="NUMBER", help="An earlier attempt.")
@cluster_options
def logs_(call: Call, task: str, follow: bool, tail: int | None, number: int | None) -> None:
    """Print the log of a task, of its newest attempt.

    Once the pod is gone, or without the right to read logs of pods, the end of the log that the task's record keeps.
    """
    if follow and number is not None:
        raise click.UsageError("--follow goes on with the newest attempt, so --attempt is not for it")

    async def work(cluster: Cluster) -> None:
        found = await cluster.task(task)
        if follow:
            await _follow(cluster, found, tail)
        else:
            await _once(cluster, found, tail, number)

    call.run(work)


async def _once(cluster: Cluster, task: LongTask, tail: int | None, number: int | None) -> None:
    attempt = _attempt(task, number)
    if attempt is None:
        if task.is_terminal:
            _record(task, tail, "it never had a pod")
            return
        raise Problem(f"{task.metadata.name} has no log yet: {_now(task)}. `longtask logs -f` waits for it")
    try:
        await _print(cluster, attempt, tail, follow=False)
    except NoLog as why:
        is_newest = attempt is task.status.attempts[-1]
        if not is_newest:
            raise Problem(f"{why}; the record keeps the end of the last attempt's log only") from why
        _record(task, tail, str(why))


async def _follow(cluster: Cluster, task: LongTask, tail: int | None) -> None:
    """Print the log of each attempt as it is written; at the end the record's, if the last could not be read."""
    done, missed = 0, ""
    async with following(cluster, [task]) as followed:
        while True:
            now = followed.tasks.known[task.metadata.uid]
            attempt = _attempt(now, None)
            if attempt is not None and attempt.number > done:
                if done and not missed:
                    note(f"--- attempt {attempt.number} ---")
                why = await _why_not(cluster, attempt, tail if not done else None)
                if why is None or why.is_final:
                    done = attempt.number
                if why is not None and why.is_final and str(why) != missed and not now.is_terminal:
                    note(f"note: {why}. The end of the log is printed once the task has ended")
                missed = str(why or "")
            if now.is_terminal:
                if missed or not done:
                    _record(now, tail, missed)
                note(f"{now.metadata.name} {phase(now).lower()}")
                return
            _check_there(followed, task)
            await followed.changes()


async def _why_not(cluster: Cluster, attempt: Attempt, tail: int | None) -> NoLog | None:
    """Print the log of an attempt until its container has ended. Why it cannot be read; None if it was."""
    try:
        await _print(cluster, attempt, tail, follow=True)
    except NoLog as why:
        return why
    return None


def _check_there(followed: Following, task: LongTask) -> None:
    if task.metadata.uid in followed.tasks.gone:
        raise Problem(f"{task.metadata.name} was deleted; its log is gone with it")


async def _print(cluster: Cluster, attempt: Attempt, tail: int | None, *, follow: bool) -> None:
    async with aclosing(log_lines(cluster, attempt, follow=follow, tail=tail)) as log:
        async for line in log:
            _write(line)


def _write(line: bytes) -> None:
    """A line of the log: as it is, but to a terminal without what that would obey."""
    if sys.stdout.isatty():
        click.echo(lines(line.decode(errors="replace")))
    else:
        click.echo(line)


def _record(task: LongTask, tail: int | None, why: str) -> None:
    """Print the end of the log that the record has. Raises Problem if it has none."""
    failure = task.status.failure
    kept = (failure.log_tail if failure is not None else None) or task.status.log_tail
    if not kept:
        reason = f"{why}, and " if why else ""
        if not task.is_terminal:
            raise Problem(
                f"{reason}the record gets the end of the log only when the task has ended ({_now(task)}). "
                "`longtask logs -f` waits for that"
            )
        raise Problem(f"{reason}the record has no log: the work wrote none, or its pod was gone too soon")
    if why:
        note(f"note: {why}; this is the end of the log, from the record of the task")
    found = kept.rstrip("\n").split("\n")
    for line in found[max(0, len(found) - tail) :] if tail is not None else found:
        _write(line.encode(errors="replace"))


def _attempt(task: LongTask, number: int | None) -> Attempt | None:
    """That attempt, or the newest; None if there is none yet. Raises Problem for one that is not recorded."""
    attempts = task.status.attempts
    if number is None:
        return attempts[-1] if attempts else None
    found = next((each for each in attempts if each.number == number), None)
    if found is None:
        known = ", ".join(str(each.number) for each in attempts) or "none"
        raise Problem(f"{task.metadata.name} has no attempt {number}; recorded are: {known}")
    return found


def _now(task: LongTask) -> str:
    return ": ".join(part for part in (f"it is {phase(task)}", doing(task, clock.now())) if part)
