"""Cleans a table: finds the rows that look wrong, asks whether to drop them, and keeps the table that comes of it."""

import csv
import math
import os
import statistics
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import longtask

DATA = Path(os.environ.get("DATA", "/data"))


class Choice(Enum):
    DROP = "drop"
    KEEP = "keep"


@dataclass(frozen=True)
class Column:
    """What was found in a column.

    Attributes:
        name: Its heading.
        median: The middle of its numbers.
        suspicious: How many of its cells look wrong.
    """

    name: str
    median: float
    suspicious: int


@dataclass(frozen=True)
class Suspect:
    """A cell that looks wrong.

    Attributes:
        line: Where it is in the file; the headings are line 1.
        column: The heading above it.
        text: What stands in it.
    """

    line: int
    column: str
    text: str


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        summary: The result in a sentence.
        rows: Rows of the table as it was.
        rows_kept: Rows of the artifact cleaned.csv.
        suspicious_rows: What became of rows that look wrong.
        columns: The columns with numbers.
        suspects: The cells that look wrong.
    """

    summary: str
    rows: int
    rows_kept: int
    suspicious_rows: Choice
    columns: list[Column]
    suspects: list[Suspect]


@longtask.task
def data_processing(
    ctx: longtask.Context, file: str = "readings.csv", tolerance: float = 8.0, answer_seconds: int = 3600
) -> Report:
    """Cleans a CSV table. In columns of numbers it looks for cells that are missing, no numbers, or far from the rest,
    and asks whether to drop or to keep their rows. Use it before anything is computed from a table of measurements.
    The result lists the suspicious cells; the cleaned table is the artifact cleaned.csv.

    Args:
        file: Name of the table in the data folder.
        tolerance: How many times as far from the median as most cells of its column a cell may be.
        answer_seconds: How long to wait for an answer. Without one the rows are kept.
    """
    if Path(file).name != file:
        raise ValueError(f"file: {file!r} is no name in the data folder; give one without '/'")
    with (DATA / file).open(newline="") as source:
        reader = csv.DictReader(source, restval="")
        table = list(reader)
    if not table:
        raise ValueError(f"file: {file} has no rows; give one with headings and at least one row")
    headings = list(reader.fieldnames or [])
    columns: list[Column] = []
    suspects: list[Suspect] = []
    for number, name in enumerate(headings, 1):
        cells = [row[name] for row in table]
        numbers = [each for each in map(as_number, cells) if each is not None]
        if 2 * len(numbers) > len(cells):
            found = suspicious(name, cells, numbers, tolerance)
            columns.append(Column(name, statistics.median(numbers), len(found)))
            suspects += found
        ctx.progress(number, len(headings) + 1, f"checked {name}", unit="step", metrics={"suspects": len(suspects)})

    wrong = {suspect.line for suspect in suspects}
    choice = Choice.KEEP
    if wrong:
        seen = ", ".join(f"{each.name} {each.suspicious}" for each in columns if each.suspicious)
        choice = ctx.ask(
            f"{len(wrong)} of {len(table)} rows of {file} look wrong ({seen}). The first is line {suspects[0].line}, "
            f"{suspects[0].column} {suspects[0].text!r}. Drop these rows, or keep them?",
            schema=Choice,
            timeout=answer_seconds,
            default=Choice.KEEP,
        )

    kept = [row for line, row in enumerate(table, 2) if choice is Choice.KEEP or line not in wrong]
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as cleaned:
        writer = csv.DictWriter(cleaned, headings, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        cleaned.flush()
        ctx.artifact("cleaned.csv", cleaned.name, media_type="text/csv")
    ctx.progress(len(headings) + 1, message=f"wrote {len(kept)} rows")
    return Report(
        summary=f"{len(kept)} of {len(table)} rows kept; {len(wrong)} looked wrong",
        rows=len(table),
        rows_kept=len(kept),
        suspicious_rows=choice,
        columns=columns,
        suspects=sorted(suspects, key=lambda suspect: suspect.line),
    )


def suspicious(name: str, cells: list[str], numbers: list[float], tolerance: float) -> list[Suspect]:
    """The cells of a column that look wrong."""
    median = statistics.median(numbers)
    spread = statistics.median(abs(number - median) for number in numbers)
    return [
        Suspect(line, name, cell)
        for line, cell in enumerate(cells, 2)
        if (number := as_number(cell)) is None or abs(number - median) > tolerance * spread
    ]


def as_number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
