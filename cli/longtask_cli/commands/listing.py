"""`longtask list`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from longtask_api import constants
from longtask_api.longtask import Phase
from longtask_cli.cluster import Cluster, Row
from longtask_cli.documents import listed
from longtask_cli.follow import UNFINISHED
from longtask_cli.options import KIND, Call, cluster_options, complete_template, console, note, output_option
from longtask_cli.table import table
from longtask_cli.text import age
from longtask_runtime import clock

LIMIT = 100
COLUMNS = ("name", "template", "phase", "progress", "age")
WIDE = ("name", "template", "phase", "progress", "age", "attempts", "requester", "message")
PHASES = {str(each).lower(): str(each) for each in Phase}


@dataclass(frozen=True)
class Filter:
    """Which tasks are listed."""

    phases: Sequence[str]
    requester: str | None
    template: str | None
    selector: str | None
    is_active: bool

    def query(self) -> dict[str, str]:
        """What the API server can select. Several phases it cannot."""
        fields = [UNFINISHED] if self.is_active else []
        if len(self.phases) == 1 and self.phases[0] != Phase.PENDING:  # a task without a status is pending too
            fields.append(f"status.phase={self.phases[0]}")
        if self.template is not None:
            fields.append(f"spec.templateRef.name={self.template}")
        selected = {"fieldSelector": ",".join(fields)} if fields else {}
        return selected | ({"labelSelector": self.selector} if self.selector else {})

    def takes(self, phase: str, requester: str) -> bool:
        """Whether a task is among them, as far as the API server has not selected it."""
        return (not self.phases or (phase or Phase.PENDING) in self.phases) and self.requester in (None, requester)


@click.command("list")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Tasks of all namespaces.")
@click.option(
    "--phase",
    "phases",
    multiple=True,
    type=click.Choice(list(Phase), case_sensitive=False),
    metavar="PHASE",
    help=f"Only tasks in this phase: {', '.join(Phase)}. May be repeated.",
)
@click.option("--active", "is_active", is_flag=True, help="Only tasks that have not ended.")
@click.option("--template", metavar="NAME", shell_complete=complete_template, help="Only tasks of this template.")
@click.option("--requester", metavar="NAME", help="Only tasks of this principal: system:serviceaccount:agents:alice.")
@click.option("-l", "--selector", metavar="LABELS", help="Only tasks with these labels.")
@click.option(
    "--sort", type=click.Choice(["age", "name", "phase", "template"]), default="age", help="Order of a table."
)
@click.option("--limit", type=click.IntRange(min=0), default=LIMIT, help="Tasks in a table; 0 for all.")
@output_option("wide", "name", "json", "yaml")
@cluster_options
def list_(
    call: Call, everywhere: bool, sort: str, limit: int, output: str | None, phases: Sequence[Phase], **which: Any
) -> None:
    """List tasks, the newest first.

    With -o json or yaml whole tasks are written, in the order of their names.
    """
    filter_ = Filter([str(each) for each in phases], **which)

    async def work(cluster: Cluster) -> None:
        if output in ("json", "yaml"):
            async for piece in listed(_documents(cluster, filter_, everywhere=everywhere), output):
                click.echo(piece, nl=False)
            return
        rows = await cluster.rows(constants.TASK_PLURAL, filter_.query(), everywhere=everywhere)
        kept = [row for row in rows if filter_.takes(row.cells.get("phase", ""), row.cells.get("requester", ""))]
        if output == "name":
            for row in ordered(kept, sort):
                click.echo(f"{KIND}/{row.name}")
            return
        if not kept:
            where = "in all namespaces" if everywhere else f"in namespace {cluster.namespace}"
            note(f"No {'such ' if rows or which != NO_FILTER or phases else ''}tasks found {where}.")
            return
        out = console()
        columns = out.width if out.is_terminal else None
        shown = ordered(kept, sort)[: limit or None]
        for each in _table(shown, clock.now(), columns, wide=output == "wide", everywhere=everywhere):
            out.print(each)
        if len(shown) < len(kept):
            note(f"{len(shown)} of {len(kept)} tasks; --limit 0 shows all.")

    call.run(work)


NO_FILTER = {"is_active": False, "template": None, "requester": None, "selector": None}


def ordered(rows: Sequence[Row], sort: str) -> list[Row]:
    """The rows in that order; those that are equal in it have the newest first."""
    found = sorted(rows, key=lambda row: (row.namespace, row.name))
    found.sort(key=lambda row: row.created, reverse=True)
    if sort == "name":
        found.sort(key=lambda row: (row.name, row.namespace))
    elif sort in ("phase", "template"):
        found.sort(key=lambda row: row.cells.get(sort, ""))
    return found


def _table(rows: Sequence[Row], now: datetime, columns: int | None, *, wide: bool, everywhere: bool) -> Any:
    names = [*(["namespace"] if everywhere else []), *(WIDE if wide else COLUMNS)]
    flexible = names.index("message" if wide else "progress")
    return table([name.upper() for name in names], [_cells(row, names, now) for row in rows], columns, flexible)


def _cells(row: Row, names: Sequence[str], now: datetime) -> list[str]:
    own: Mapping[str, str] = {
        "namespace": row.namespace,
        "name": row.name,
        "phase": row.cells.get("phase") or Phase.PENDING,
        "age": age(datetime.fromisoformat(row.created), now),
    }
    return [own[name] if name in own else row.cells.get(name, "") for name in names]


async def _documents(cluster: Cluster, filter_: Filter, *, everywhere: bool) -> AsyncIterator[dict[str, Any]]:
    async for document in cluster.documents(constants.TASK_PLURAL, filter_.query(), everywhere=everywhere):
        principal = (document["spec"].get("requester") or {}).get("principal", "")
        if filter_.takes((document.get("status") or {}).get("phase", ""), principal):
            yield document
