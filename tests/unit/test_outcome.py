"""What an answer of a sink means."""

from email.utils import format_datetime

import pytest

from longtask_operator.notification.outcome import SENT, Verdict, backoff, failed, of_status
from longtask_operator.planning.notifications import TO_BE_FIXED
from tests.unit.given import at


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_two_hundreds_are_accepted(status: int) -> None:
    assert of_status(status, "5", at(0)) == SENT


@pytest.mark.parametrize(
    ("status", "reason", "of_sink"),
    [
        (301, "Redirected", True),
        (308, "Redirected", True),
        (400, "Rejected", False),
        (401, "Rejected", True),
        (404, "Rejected", True),
        (408, "ServerError", True),
        (413, "Rejected", False),
        (422, "Rejected", False),
        (425, "ServerError", True),
        (429, "Throttled", True),
        (500, "ServerError", True),
        (599, "ServerError", True),
        (999, "ServerError", True),
    ],
)
def test_the_rest_is_tried_again(status: int, reason: str, of_sink: bool) -> None:
    found = of_status(status, None, at(0))
    assert (found.verdict, found.reason, found.of_sink) == (Verdict.RETRY, reason, of_sink)
    assert str(status) in found.message


def test_a_sink_that_is_gone_wants_no_more() -> None:
    found = of_status(410, "5", at(0))
    assert (found.verdict, found.reason, found.of_sink) == (Verdict.GIVE_UP, "Gone", False)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("99999999999999999999999999", 3600),
        ("-5", 0),
        ("1.5", 0),
        ("١٢", 0),
        ("soon", 0),
        ("", 0),
        (None, 0),
        (format_datetime(at(90), usegmt=True), 90),
        (format_datetime(at(-90), usegmt=True), 0),
        (format_datetime(at(90_000), usegmt=True), 3600),
        ("Sun, 01 Mar 2026 99:00:00 GMT", 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_is_heeded_within_bounds(status: int, header: str | None, seconds: float) -> None:
    assert of_status(status, header, at(0)).retry_after == seconds


@pytest.mark.parametrize(
    ("failures", "draw", "retry_after", "seconds"),
    [(1, 0, 0, 2), (1, 1, 0, 1.5), (2, 0, 0, 4), (8, 0, 0, 256), (9, 0, 0, 300), (500, 1, 0, 225), (1, 0, 60, 60)],
)
def test_the_delay_doubles_to_five_minutes(failures: int, draw: float, retry_after: float, seconds: float) -> None:
    assert backoff(failures, draw, retry_after) == seconds


def test_an_attempt_without_an_answer_is_made_again() -> None:
    assert failed("NoAnswer", "x").verdict is Verdict.RETRY
    assert "NoAnswer" not in TO_BE_FIXED
