"""What reports of progress are made of."""

from pathlib import Path
from typing import Any

import pytest

import longtask
from longtask import stderr_log
from longtask.context import Context
from longtask.memory import memory_bytes
from longtask.testing import Recording


class Told:
    """A context, and the last report that it made."""

    def __init__(self) -> None:
        self.recording = Recording()
        self.progress = Context(self.recording).progress

    @property
    def last(self) -> dict[str, Any]:
        return self.recording.reports[-1]


@pytest.fixture
def told() -> Told:
    stderr_log._said.clear()
    return Told()


def test_each_report_is_whole(told: Told) -> None:
    told.progress(1, 10, "learning", unit="epoch", metrics={"loss": 0.5})
    told.progress(2, metrics={"accuracy": 0.75})
    assert told.last == {
        "current": 2,
        "total": 10,
        "message": "learning",
        "unit": "epoch",
        "metrics": {"loss": 0.5, "accuracy": 0.75},
    }


def test_a_report_does_not_change_what_was_reported_before(told: Told) -> None:
    told.progress(metrics={"loss": 0.5})
    told.progress(metrics={"loss": 0.25})
    assert [report["metrics"]["loss"] for report in told.recording.reports] == [0.5, 0.25]


@pytest.mark.parametrize(
    ("first", "then", "whole"),
    [
        ({"fraction": 0.5}, {"current": 3}, {"current": 3}),
        ({"current": 3, "total": 4}, {"fraction": 0.5}, {"fraction": 0.5}),
        ({"fraction": 0.5}, {"message": "x"}, {"fraction": 0.5, "message": "x"}),
        ({"current": 3, "total": 4, "unit": "file"}, {"current": 1, "unit": "row"}, {"current": 1, "unit": "row"}),
        (
            {"current": 3, "total": 4, "unit": "file"},
            {"current": 4, "unit": "file"},
            {"current": 4, "total": 4, "unit": "file"},
        ),
        ({"current": 1}, {"current": 3, "total": 4, "fraction": 0.7}, {"current": 3, "total": 4, "fraction": 0.7}),
        ({}, {"fraction": 1.5}, {"fraction": 1}),
        ({}, {"fraction": -1}, {"fraction": 0}),
        ({}, {"current": 0, "total": 0}, {"current": 0, "total": 0}),
    ],
)
def test_what_replaces_what(told: Told, first: dict[str, Any], then: dict[str, Any], whole: dict[str, Any]) -> None:
    told.progress(**first)
    told.progress(**then)
    assert told.last == whole


class Tensor:
    def __float__(self) -> float:
        return 0.5


class Broken:
    def __float__(self) -> float:
        raise RuntimeError("no number")


@pytest.mark.parametrize(("value", "expected"), [(Tensor(), 0.5), (True, 1), (3, 3), ("2.5", 2.5)])
def test_numbers_of_other_libraries_are_numbers(told: Told, value: Any, expected: float) -> None:
    told.progress(metrics={"loss": value})
    assert told.last["metrics"] == {"loss": expected}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "many", Broken(), 10**400, [1]])
def test_what_is_no_number_is_left_out_with_a_line_and_not_raised(
    told: Told, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    told.progress(1, total=value, metrics={"loss": value, "accuracy": 1})
    told.progress(2, total=value, metrics={"loss": value})
    assert told.last == {"current": 2, "metrics": {"accuracy": 1}}
    assert capsys.readouterr().err.splitlines() == [
        "longtask: total of a progress is left out where it is no finite number",
        "longtask: metric loss of a progress is left out where it is no finite number",
    ]


@pytest.mark.parametrize("name", ["", "1st", "val loss", "x" * 64, 7])
def test_a_metric_whose_name_the_api_refuses_is_left_out_with_a_line(
    told: Told, name: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    told.progress(1, metrics={name: 1})
    assert told.last == {"current": 1}
    assert f"metric {name!r} is left out" in capsys.readouterr().err


def test_the_33rd_metric_is_left_out_with_a_line(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told.progress(metrics={f"m{number}": number for number in range(33)})
    assert list(told.last["metrics"]) == [f"m{number}" for number in range(32)]
    assert "metric m32 is left out: a task has at most 32" in capsys.readouterr().err


def test_metrics_that_are_no_dict_are_left_out_with_a_line(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    wrong: Any = 5
    told.progress(1, metrics=wrong)
    assert told.last == {"current": 1}
    assert "int is no dict of numbers" in capsys.readouterr().err


def test_a_long_message_ends_with_an_ellipsis(told: Told) -> None:
    told.progress(message="x" * 1025, unit="u" * 40)
    assert told.last == {"message": "x" * 1023 + "…", "unit": "u" * 31 + "…"}


def test_half_a_character_does_not_break_a_report(told: Told) -> None:
    told.progress(message="file \udcff")
    assert told.last == {"message": "file ?"}


def test_memory_is_what_the_cgroup_says(tmp_path: Path) -> None:
    second, first = tmp_path / "memory.current", tmp_path / "memory.usage_in_bytes"
    assert memory_bytes([str(second), str(first)]) is None
    first.write_text("1024\n")
    assert memory_bytes([str(second), str(first)]) == 1024
    second.write_text("2048\n")
    assert memory_bytes([str(second), str(first)]) == 2048


def test_the_context_is_reached_without_passing_it() -> None:
    @longtask.task
    def work() -> None:
        longtask.current().progress(1, 2)

    with longtask.testing.recording() as told:
        work()
    assert told.reports == [{"current": 1, "total": 2}]
