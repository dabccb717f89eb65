"""How large the reports of the work may be, and what they must have: whoever writes them."""

from typing import Any, TypeAlias

import pytest

from tests.api.conftest import MakeTask
from tests.api.objects import CHECKPOINT, PROGRESS, QUESTION, REFERENCE
from tests.api.writes import Change

Limit: TypeAlias = tuple[str, Any, Any, str]
"""A field, the most that it takes, something beyond that, and what the API server says of it."""


def _questions(count: int) -> list[dict[str, Any]]:
    return [QUESTION | {"id": f"q{number}"} for number in range(count)]


PROGRESS_FIELDS: list[Limit] = [
    ("attempt", 1, 0, "greater than or equal to 1"),
    ("sequence", 0, -1, "greater than or equal to 0"),
    ("sequence", 2**53, "5", "must be of type integer"),
    ("fraction", 1, 1.01, "less than or equal to 1"),
    ("fraction", 0, -0.01, "greater than or equal to 0"),
    ("current", -1.5, "1", "must be of type number"),
    ("unit", "e" * 32, "e" * 33, "may not be more than 32"),
    ("message", "é" * 1024, "é" * 1025, "may not be more than 1024"),
    ("display", "d" * 64, "d" * 65, "may not be more than 64"),
    ("memoryBytes", 2**40, -1, "greater than or equal to 0"),
    ("metrics", {str(n): n / 2 for n in range(32)}, {str(n): n for n in range(33)}, "must have at most 32 items"),
    ("metrics", {"loss": 1e-300}, {"loss": "low"}, "must be of type number"),
    ("pace", 0, -1, "greater than or equal to 0"),
]
CHECKPOINT_FIELDS: list[Limit] = [
    ("text", "t" * 16384, "t" * 16385, "may not be more than 16384"),
    ("mediaType", "m" * 128, "m" * 129, "may not be more than 128"),
    ("savedTime", "2026-03-01T10:07:00.5Z", "soon", "must be of type date-time"),
    ("reference", REFERENCE, REFERENCE | {"uri": ""}, "at least 1 chars long"),
    ("reference", REFERENCE | {"uri": "u" * 2048}, REFERENCE | {"uri": "u" * 2049}, "may not be more than 2048"),
    ("reference", REFERENCE | {"sha256": "0" * 64}, REFERENCE | {"sha256": "0" * 63}, "should match"),
    ("reference", REFERENCE | {"size": 0}, REFERENCE | {"size": -1}, "greater than or equal to 0"),
]
QUESTION_FIELDS: list[Limit] = [
    ("id", "Rows.to_keep-1", "rows to keep", "should match"),
    ("id", "q" * 64, "q" * 65, "may not be more than 64"),
    ("message", "m" * 4096, "m" * 4097, "may not be more than 4096"),
    ("message", "?", "", "at least 1 chars long"),
    ("answerSchema", "s" * 8192, "s" * 8193, "may not be more than 8192"),
    ("default", "d" * 4096, "d" * 4097, "may not be more than 4096"),
]
RESULT_FIELDS: list[Limit] = [
    ("attempt", 1, 0, "greater than or equal to 1"),
    ("text", "t" * 32768, "t" * 32769, "may not be more than 32768"),
    ("summary", "s" * 1024, "s" * 1025, "may not be more than 1024"),
    ("mismatch", "m" * 4096, "m" * 4097, "may not be more than 4096"),
    ("artifacts", [{"name": "a"}] * 64, [{"name": "a"}] * 65, "must have at most 64 items"),
    ("artifacts", [{"name": "n" * 253}], [{"name": "n" * 254}], "may not be more than 253"),
]
STATUS_FIELDS: list[Limit] = [
    ("logTail", "l" * 4096, "l" * 4097, "may not be more than 4096"),
    ("inputRequests", _questions(32), _questions(33), "must have at most 32 items"),
]
LIMITS = [
    *((f"progress.{field}", *limit) for field, *limit in PROGRESS_FIELDS),
    *((f"checkpoint.{field}", *limit) for field, *limit in CHECKPOINT_FIELDS),
    *((f"inputRequests[0].{field}", *limit) for field, *limit in QUESTION_FIELDS),
    *((f"result.{field}", *limit) for field, *limit in RESULT_FIELDS),
    *STATUS_FIELDS,
]
WHOLE: dict[str, Any] = {"progress": PROGRESS, "checkpoint": CHECKPOINT, "inputRequests[0]": QUESTION, "result": {}}


@pytest.mark.parametrize(("field", "most", "more", "says"), LIMITS)
def test_a_report_has_limits(a_task: MakeTask, field: str, most: Any, more: Any, says: str) -> None:
    stored = a_task()

    refused = stored.write("PUT", _with(field, more))
    stored.write("PUT", _with(field, most)).done()

    assert refused.code == 422, refused.body
    assert [where for what, where in refused.refusals.items() if says in what and f"status.{field}" in where], (
        refused.body
    )


@pytest.mark.parametrize(
    "field",
    [
        "progress.attempt",
        "progress.sequence",
        "checkpoint.attempt",
        "checkpoint.sequence",
        "checkpoint.savedTime",
        "inputRequests[0].id",
        "inputRequests[0].message",
        "inputRequests[0].createdTime",
    ],
)
def test_what_a_report_must_have(a_task: MakeTask, field: str) -> None:
    """The rules compare attempt, sequence and id: what lacks one of them would pass none."""
    part, _, name = field.partition(".")
    least = {key: value for key, value in WHOLE[part].items() if key != name}

    answer = a_task().write("PUT", _status(part, least))

    assert answer.refusals.get("Required value") == f"status.{field}", answer.body


def _with(field: str, value: Any) -> Change:
    part, _, name = field.partition(".")
    return _status(part, WHOLE[part] | {name: value}) if name else _status(field, value)


def _status(part: str, value: Any) -> Change:
    plain = part.removesuffix("[0]")
    return Change("status", {plain: value if plain == part else [value]})
