"""Turns a report into the progress to store, with a smoothed estimate of the completion time. Pure."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from longtask_api.reports import MAX_DISPLAY, Progress

SMOOTHING = 0.25
"""Time constant of the pace's moving average, as a fraction of the attempt's running time, at least SHORTEST seconds:
for an hour's work the pace of the last minutes predicts more than that of the last seconds."""
SHORTEST = 30.0
FURTHEST = timedelta(days=365)
"""No estimate is given beyond this: such work is practically stalled."""
LEAST_FRACTION = 1e-9


@dataclass(frozen=True, slots=True)
class Report:
    """One report of the work; fields that were not reported are None."""

    sequence: int
    fraction: float | None = None
    current: float | None = None
    total: float | None = None
    unit: str | None = None
    message: str | None = None
    metrics: dict[str, float] | None = None
    memory_bytes: int | None = None


def progress(
    report: Report, attempt: int, at: datetime, before: Progress | None, started: datetime | None, *, resumed: bool
) -> Progress:
    """The progress to store for a report received `at`; `before` is the progress stored so far.

    `started` is when the attempt began to work. An attempt that resumed from a checkpoint (`resumed`) starts
    somewhere in the middle, so its first report says nothing about its pace.
    """
    fraction = _fraction(report)
    known = before if before is not None and before.attempt == attempt else None
    pace = None if fraction is None else _pace(fraction, at, known, started, resumed=resumed)
    return Progress(
        attempt=attempt,
        sequence=report.sequence,
        fraction=fraction,
        current=report.current,
        total=report.total,
        unit=report.unit,
        message=report.message,
        metrics=report.metrics or None,
        memory_bytes=report.memory_bytes,
        display=_display(report, fraction),
        pace=pace,
        updated_time=at,
        estimated_completion_time=_end(fraction, pace, at),
    )


def _fraction(report: Report) -> float | None:
    """The reported fraction, else current/total, limited to 0..1."""
    if report.fraction is not None:
        return report.fraction
    if report.current is None or not report.total or report.total <= 0:
        return None
    return min(1.0, max(0.0, report.current / report.total))


def _pace(
    fraction: float, at: datetime, before: Progress | None, started: datetime | None, *, resumed: bool
) -> float | None:
    """Fraction per second. It decays during a stall; a falling fraction restarts the measurement."""
    if before is None or before.fraction is None or before.updated_time is None:
        seconds = (at - started).total_seconds() if started is not None and not resumed else 0.0
        return fraction / seconds if seconds > 0 else None
    seconds = (at - before.updated_time).total_seconds()
    gained = fraction - before.fraction
    if gained < -LEAST_FRACTION:
        return None
    if seconds <= 0:
        return before.pace
    newest = gained / seconds
    if before.pace is None:
        return newest if gained > LEAST_FRACTION else None
    told_for = (at - started).total_seconds() if started is not None else seconds
    kept = math.exp(-seconds / max(SHORTEST, SMOOTHING * told_for))
    return before.pace * kept + newest * (1 - kept)


def _end(fraction: float | None, pace: float | None, at: datetime) -> datetime | None:
    if fraction is None or pace is None or pace <= 0 or fraction <= 0:
        return None
    seconds = (1 - fraction) / pace
    return at + timedelta(seconds=seconds) if seconds <= FURTHEST.total_seconds() else None


def _display(report: Report, fraction: float | None) -> str | None:
    """`60% (epoch 6/10)`, `60%`, `6/10 epoch`, `1,234 rows`; at most 64 characters."""
    share = None if fraction is None else f"{int(fraction * 100 + 1e-9)}%"
    if report.current is None:
        return share
    done = _number(report.current)
    if report.total is None:
        counted = f"{done} {report.unit or ''}".strip()
    else:
        counted = f"{report.unit or ''} {done}/{_number(report.total)}".strip()
    return (f"{share} ({counted})" if share else counted)[:MAX_DISPLAY]


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"
