"""The stored progress of a report, and the estimate of the end that goes with it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from longtask_api.reports import Progress
from longtask_operator.planning.progress import Report, progress

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def told(
    points: list[tuple[float, float]], attempt: int = 1, *, resumed: bool = False, before: Progress | None = None
) -> Progress:
    """The progress after reports of (second, fraction)."""
    stored = before
    for number, (second, fraction) in enumerate(points):
        stored = progress(Report(number, fraction=fraction), attempt, at(second), stored, START, resumed=resumed)
    assert stored is not None
    return stored


def left(stored: Progress) -> float | None:
    """Seconds from the last report to the estimated end."""
    if stored.estimated_completion_time is None or stored.updated_time is None:
        return None
    return (stored.estimated_completion_time - stored.updated_time).total_seconds()


def steady(until: float, pace: float = 0.01, every: float = 1) -> list[tuple[float, float]]:
    return [(n * every, n * every * pace) for n in range(1, int(until / every) + 1)]


def test_the_first_report_of_a_task_gives_an_estimate_from_its_start() -> None:
    assert left(told([(20, 0.2)])) == pytest.approx(80)


def test_a_steady_pace_gives_the_time_that_is_left() -> None:
    assert left(told(steady(60))) == pytest.approx(40, rel=1e-6)


def test_an_attempt_that_resumed_is_not_measured_from_its_start() -> None:
    first = told([(5, 0.6)], attempt=2, resumed=True)
    assert left(first) is None
    assert left(told([(5, 0.6), (15, 0.7)], attempt=2, resumed=True)) == pytest.approx(30)


def test_a_new_attempt_starts_a_new_measurement() -> None:
    before = told(steady(60))
    assert left(told([(100, 0.5)], attempt=2, before=before)) == pytest.approx(100)


def test_a_stall_moves_the_end_away_with_every_report() -> None:
    moving = told(steady(60))
    lefts = []
    for second in (90, 120, 180, 240):
        moving = progress(Report(second, fraction=0.6), 1, at(second), moving, START, resumed=False)
        lefts.append(left(moving) or float("inf"))
    assert lefts == sorted(lefts)
    assert lefts[0] > 40
    assert lefts[-1] > 2 * lefts[0]


def test_a_stall_without_end_has_no_estimate() -> None:
    stalled = told([*steady(60), *((60 + n * 3600, 0.6) for n in range(1, 500))])
    assert left(stalled) is None


def test_a_jump_back_has_no_estimate_until_the_work_moves_again() -> None:
    back = told([*steady(60), (61, 0.1)])
    assert (back.fraction, left(back)) == (0.1, None)
    assert left(told([*steady(60), (61, 0.1), (71, 0.2)])) == pytest.approx(80)


def test_a_jump_forward_does_not_promise_the_end_at_once() -> None:
    jumped = told([*steady(60), (61, 0.9)])
    assert 0 < (left(jumped) or 0) < 40


def test_the_end_has_nothing_left() -> None:
    assert left(told([*steady(60), (61, 1.0)])) == 0


def test_the_beginning_has_no_estimate() -> None:
    assert left(told([(10, 0)])) is None


def test_two_reports_in_one_moment_do_not_divide_by_zero() -> None:
    assert left(told([(10, 0.1), (10, 0.2)])) is not None


@pytest.mark.parametrize(
    ("report", "fraction", "display"),
    [
        (Report(1, fraction=0.6), 0.6, "60%"),
        (Report(1, current=6, total=10, unit="epoch"), 0.6, "60% (epoch 6/10)"),
        (Report(1, current=6, total=10), 0.6, "60% (6/10)"),
        (Report(1, current=1234567, unit="rows"), None, "1,234,567 rows"),
        (Report(1, current=1.5, total=0), None, "1.5/0"),
        (Report(1, current=12, total=10), 1.0, "100% (12/10)"),
        (Report(1, current=-1, total=10), 0.0, "0% (-1/10)"),
        (Report(1, fraction=0.29), 0.29, "29%"),
        (Report(1, fraction=0.999), 0.999, "99%"),
        (Report(1, fraction=0.25, current=1, total=2, unit="file"), 0.25, "25% (file 1/2)"),
        (Report(1, message="loading"), None, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_people_see(report: Report, fraction: float | None, display: str | None) -> None:
    stored = progress(report, 1, at(1), None, START, resumed=False)
    assert (stored.fraction, stored.display) == (fraction, display)


def test_everything_that_was_told_is_stored() -> None:
    report = Report(7, 0.5, 1, 2, "file", "reading", {"loss": 0.1}, 1024)
    stored = progress(report, 3, at(1), None, START, resumed=False)
    kept = Report(
        stored.sequence,
        stored.fraction,
        stored.current,
        stored.total,
        stored.unit,
        stored.message,
        dict(stored.metrics or {}),
        stored.memory_bytes,
    )
    assert (kept, stored.attempt, stored.updated_time) == (report, 3, at(1))


def test_a_display_fits_its_field() -> None:
    long = replace(Report(1, current=1, total=2), unit="x" * 32, current=123456789012345.0, total=123456789012346.0)
    assert len(progress(long, 1, at(1), None, START, resumed=False).display or "") <= 64


def test_an_hour_of_reports_forgets_slower_than_a_minute_of_them() -> None:
    """The average is over a quarter of the time that was reported: an hour's pace is not that of its last seconds."""
    changes = []
    for end, known in ((60, told(steady(60, 0.001))), (3600, told(steady(3600, 0.0001, every=60)))):
        after = told([(end + 15, (known.fraction or 0) + 0.1)], before=known)
        changes.append((after.pace or 0) - (known.pace or 0))
    assert changes[0] > 5 * changes[1] > 0


def test_a_report_without_a_start_and_one_that_comes_at_once() -> None:
    unknown = progress(Report(1, fraction=0.5), 1, at(10), None, None, resumed=False)
    assert left(unknown) is None
    later = progress(Report(2, fraction=0.6), 1, at(20), unknown, None, resumed=False)
    assert left(later) == pytest.approx(40)
    assert progress(Report(3, fraction=0.7), 1, at(30), later, None, resumed=False).pace == pytest.approx(0.01)
    quick = progress(Report(1, fraction=0.5), 1, at(0.5), None, START, resumed=False)
    assert left(quick) == pytest.approx(0.5)


def test_a_second_report_that_gains_nothing_measures_nothing() -> None:
    first = told([(5, 0.6)], attempt=2, resumed=True)
    assert progress(Report(2, fraction=0.6), 2, at(15), first, START, resumed=True).pace is None


@pytest.mark.parametrize(
    ("report", "display"),
    [
        (Report(1, current=3), "3"),
        (Report(1, current=0.5, total=1), "50% (0.5/1)"),
        (Report(1, current=10**15), "1e+15"),
        (Report(1, current=10**15 - 1), "999,999,999,999,999"),
    ],
    ids=["no unit", "a total of one", "too large to write out", "just not"],
)
def test_how_numbers_are_written(report: Report, display: str) -> None:
    assert progress(report, 1, at(1), None, START, resumed=False).display == display
