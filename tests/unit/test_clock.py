"""The API server's time, by the Date headers of its answers."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from longtask_runtime.clock import Clock

ROOT = Path(__file__).resolve().parents[2]
TEN = datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp()


class Machine:
    """A clock that the test sets, and the API server's, which shows whole seconds."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead
        self.true = TEN
        self.clock = Clock(lambda: self.true + self.ahead)

    def ask(self, seconds: float) -> None:
        """A request that takes so long; it is answered at its end."""
        sent = self.clock.local()
        self.true += seconds
        self.clock.hear(format_datetime(datetime.fromtimestamp(int(self.true), UTC), usegmt=True), sent)

    @property
    def wrong(self) -> float:
        """By how much what it says now differs from the API server's time, in seconds."""
        return abs(self.clock.now().timestamp() - self.true)


@pytest.mark.parametrize("ahead", [3 * 3600, -3 * 3600, 30, -7])
@pytest.mark.parametrize("seconds", [0.01, 0.9, 20])
def test_a_clock_that_is_wrong_is_put_right_by_the_first_answer(ahead: float, seconds: float) -> None:
    machine = Machine(ahead)
    machine.ask(seconds)
    assert machine.wrong <= 1 + seconds
    assert machine.clock.skew == pytest.approx(ahead, abs=1 + seconds)


def test_a_clock_that_may_be_right_is_left_alone() -> None:
    machine = Machine(0)
    for _ in range(50):
        machine.ask(0.037)
        assert machine.clock.skew == 0


def test_time_does_not_jump_with_each_answer() -> None:
    machine = Machine(3600)
    machine.ask(0.01)
    moments = []
    for _ in range(100):
        machine.ask(0.05)
        moments.append(machine.clock.now())
    assert moments == sorted(moments)


def test_a_clock_that_is_set_while_the_process_runs_is_followed() -> None:
    machine = Machine(3600)
    machine.ask(0.01)
    machine.ahead = 0
    machine.ask(0.01)
    assert machine.clock.skew == 0


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 99 Mar 2026 10:00:00 GMT"])
def test_a_header_of_no_use_changes_nothing(date: str) -> None:
    machine = Machine(10)
    machine.clock.hear(date, machine.clock.local())
    assert machine.clock.skew == 0


def test_a_skew_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(3600)
    for _ in range(3):
        machine.ask(0.01)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.__dict__["ahead_seconds"] == pytest.approx(3600, abs=1)


def test_no_server_asks_the_machine_for_the_time_of_day() -> None:
    sources = [path for folder in ("operator", "mcp_server") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 50
    asking = re.compile(r"datetime\.(now|utcnow|today)\(|time\.time\(")
    assert [str(path) for path in sources if asking.search(path.read_text())] == []
