"""Tasks that are followed: bars that move on a terminal, and elsewhere a line for each change."""

from collections.abc import Collection, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from longtask_api.longtask import LongTask, Phase
from longtask_cli.state import display, doing, phase
from longtask_cli.table import STYLES
from longtask_cli.text import age, fitted, line, padded, width

BAR = 20
"""Columns."""
MAX_NAME = 40
DELETED = "deleted"


def rows(tasks: Sequence[LongTask], gone: Collection[str], now: datetime, columns: int, at_most: int) -> list[Text]:
    """A line for each task, at most `at_most` of them, in at most `columns` columns: those in progress first."""
    ordered = sorted(tasks, key=lambda each: (each.is_terminal, each.metadata.name))
    shown = ordered if len(ordered) <= at_most else ordered[: at_most - 1]
    wide = min(MAX_NAME, max((width(each.metadata.name) for each in shown), default=0))
    found = [_row(task, task.metadata.uid in gone, now, wide, columns) for task in shown]
    if len(shown) < len(ordered):
        found.append(Text(f"... and {len(ordered) - len(shown)} more", style="dim"))
    return found


def change(task: LongTask, now: datetime, *, gone: bool = False) -> str:
    """The state of a task in a line, for output that is not a terminal."""
    parts = [display(task), doing(task, now)]
    return (
        f"{task.metadata.name}   {DELETED if gone else phase(task)}   {line(', '.join(p for p in parts if p))}".rstrip()
    )


def _row(task: LongTask, gone: bool, now: datetime, wide: int, columns: int) -> Text:
    word = DELETED if gone and not task.is_terminal else phase(task)
    text = Text(no_wrap=True)
    text.append(padded(fitted(task.metadata.name, wide), wide) + "  ")
    text.append(padded(word, 15), style=STYLES.get(word, ""))
    text.append(" ")
    text.append_text(_bar(task))
    said = line(", ".join(part for part in (display(task), doing(task, now)) if part))
    since = age(task.metadata.creation_timestamp, now)
    text.append(f"  {padded(since, 6)} {said}")
    text.truncate(columns, overflow="ellipsis")
    return text


def _bar(task: LongTask) -> Text:
    fraction = 1.0 if task.status.phase is Phase.SUCCEEDED else getattr(task.status.progress, "fraction", None)
    if fraction is None:
        return Text(" " * BAR)
    filled = int(min(1.0, max(0.0, fraction)) * BAR + 1e-9)
    return Text.assemble(("━" * filled, STYLES.get(phase(task), "")), ("─" * (BAR - filled), "dim"))


class View:
    """Shows tasks while they are followed; `with` restores the terminal whatever happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = (
            Live(console=console, auto_refresh=False, transient=False)
            if console.is_terminal and not console.is_dumb_terminal
            else None
        )
        self._told: dict[str, str] = {}
        self._silent = False

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(
        self, tasks: Sequence[LongTask], gone: Collection[str], now: datetime, silent_seconds: float | None
    ) -> None:
        """Show the state of all tasks; `silent_seconds` is how long the cluster has said nothing, if that is long."""
        if self._live is None:
            self._lines(tasks, gone, now, silent_seconds)
            return
        columns, high = self._console.size
        found = rows(tasks, gone, now, columns, max(1, high - 2))
        if not tasks:
            found.append(Text("no task is in progress", style="dim"))
        if silent_seconds is not None:
            found.append(Text(fitted(_silence(silent_seconds), columns), style="yellow"))
        self._live.update(Text("\n", no_wrap=True).join(found), refresh=True)

    def _lines(
        self, tasks: Sequence[LongTask], gone: Collection[str], now: datetime, silent_seconds: float | None
    ) -> None:
        told = {task.metadata.uid: f"{phase(task)} {display(task)} {task.metadata.uid in gone}" for task in tasks}
        for task in tasks:
            if self._told.get(task.metadata.uid) != told[task.metadata.uid]:
                self._console.print(change(task, now, gone=task.metadata.uid in gone and not task.is_terminal))
        self._told = told
        if silent_seconds is not None and not self._silent:
            self._console.print(_silence(silent_seconds))
        self._silent = silent_seconds is not None


def _silence(seconds: float) -> str:
    return f"the cluster has said nothing for {int(seconds)}s; still trying"
