"""The tqdm adapter, with the real tqdm."""

import gc
import io
from collections.abc import Iterator
from typing import Any

import pytest
import tqdm as original

from longtask.integrations.tqdm import tqdm, trange
from longtask.testing import Recording, recording


@pytest.fixture
def told() -> Iterator[Recording]:
    with recording() as made:
        yield made


def test_a_loop_tells_its_progress(told: Recording) -> None:
    assert list(tqdm(["a", "b", "c"], desc="files", unit="file", mininterval=0, miniters=1, file=io.StringIO()))
    assert [report["current"] for report in told.reports] == [0, 1, 2, 3, 3]
    assert told.reports[-1] == {"current": 3, "total": 3, "unit": "file", "message": "files"}


def test_a_bar_that_is_moved_by_hand_tells_its_progress(told: Recording) -> None:
    with tqdm(total=100, mininterval=0, unit="B", file=io.StringIO()) as bar:
        bar.update(30)
        bar.set_description("writing")
        bar.update(70)
    assert [report["current"] for report in told.reports] == [0, 30, 100, 100]
    assert told.reports[-1]["message"] == "writing"


def test_numbers_beside_the_bar_are_metrics(told: Recording) -> None:
    for _ in (bar := trange(1, file=io.StringIO())):
        bar.set_postfix({"accuracy": 0.75}, loss=0.5, stage="warm")
    assert told.reports[-1]["metrics"] == {"accuracy": 0.75, "loss": 0.5}
    assert "loss=0.5" in str(bar.postfix)


@pytest.mark.parametrize("disable", [True, None])
def test_a_bar_that_is_not_shown_tells_its_progress_too(told: Recording, disable: bool | None) -> None:
    hidden = io.StringIO()
    assert list(trange(5, disable=disable, file=hidden)) == [0, 1, 2, 3, 4]
    assert told.reports[-1]["current"] == 5
    assert hidden.getvalue() == ""


def test_a_bar_that_the_environment_disables_tells_its_progress_too(
    told: Recording, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with trange(5, disable=True, postfix={"loss": 0.5}) as bar:
        for _ in bar:
            pass
    assert told.reports[-1]["current"] == 5
    assert capsys.readouterr().err == ""


def test_of_nested_bars_the_outermost_tells(told: Recording) -> None:
    for _ in trange(2, unit="epoch", mininterval=0, file=io.StringIO()):
        for _ in trange(50, unit="batch", mininterval=0, leave=False, file=io.StringIO()):
            pass
    assert {report["unit"] for report in told.reports} == {"epoch"}


def test_after_one_bar_the_next_tells(told: Recording) -> None:
    for unit in ("file", "row"):
        for _ in trange(1, unit=unit, file=io.StringIO()):
            pass
    assert [report["unit"] for report in told.reports] == ["file", "file", "row", "row"]


def test_a_bar_that_was_left_does_not_silence_the_next(told: Recording) -> None:
    def leave() -> None:
        for number in trange(5, file=io.StringIO()):
            if number == 2:
                raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        leave()
    gc.collect()
    list(trange(7, file=io.StringIO()))
    assert told.reports[-1]["current"] == 7


def test_a_bar_without_a_total_tells_its_count(told: Recording) -> None:
    list(tqdm(iter("abc"), file=io.StringIO()))
    assert (told.reports[-1]["current"], "total" in told.reports[-1]) == (3, False)


@pytest.mark.parametrize("options", [{}, {"disable": True}])
def test_outside_of_a_task_it_is_tqdm_as_it_is(options: dict[str, Any]) -> None:
    ours, theirs = io.StringIO(), io.StringIO()
    assert list(tqdm(range(3), file=ours, **options)) == [0, 1, 2]
    list(original.tqdm(range(3), file=theirs, **options))
    assert bool(ours.getvalue()) == bool(theirs.getvalue())
    assert issubclass(tqdm, original.tqdm)
