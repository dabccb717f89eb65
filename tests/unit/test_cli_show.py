"""A task as a person is shown it: its timeline, its line among others, its end."""

import io
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_cli.bars import View, change, rows
from longtask_cli.commands.doctor import judged
from longtask_cli.commands.templates import shown as shown_template
from longtask_cli.state import doing, exit_code, ready
from longtask_cli.text import width
from longtask_cli.timeline import shown
from longtask_cli.wait import outcome
from tests.api import objects

CREATED = "2026-03-01T10:00:00Z"
NOW = datetime(2026, 3, 1, 10, 10, tzinfo=UTC)
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def task(status: dict[str, Any] | None = None, name: str = "training-1", **spec: Any) -> LongTask:
    body = objects.task(name, spec, uid=f"8f3c0000-0000-4000-8000-{abs(hash(name)) % 10**12:012d}")
    body["metadata"] |= {"creationTimestamp": CREATED, "namespace": "tasks", "resourceVersion": "1"}
    return LongTask.from_api(body | ({"status": status} if status is not None else {}))


def text(found: LongTask) -> str:
    return "\n".join(each.plain for each in shown(found, NOW))


def test_the_timeline_has_what_happened_in_its_order() -> None:
    told = text(task(objects.RUNNING, requester={"principal": "alice", "sessionId": "s1"}, parameters={"epochs": 10}))
    entries = [each.strip() for each in told.partition("Timeline:\n")[2].partition("\n\n")[0].splitlines()]
    assert [entry[:19] for entry in entries] == sorted(entry[:19] for entry in entries)
    assert "2026-03-01 10:00:00  created" in entries
    assert "2026-03-01 10:02:00  attempt 1 ended: Evicted, exit code 137" in entries
    assert "2026-03-01 10:00:05  attempt 2 started on node-1, pod training-1-8f3c2a1b-p4z9q" in entries
    assert any("checkpoint of attempt" in entry for entry in entries)
    assert any("question" in entry and "(open)" in entry for entry in entries)
    assert "Requester:   alice, session s1" in told
    assert 'Parameters:  {"epochs": 10}' in told
    code = "if x:\n    y()"
    assert f'Parameters:  {{"code": {json.dumps(code)}}}' in text(task(parameters={"code": code}))
    spaced = task(objects.SUCCEEDED | {"result": {"value": {"a": "b  c"}}})
    assert 'Result:      {"a": "b  c"}' in text(spaced)
    question = objects.RUNNING["inputRequests"][0]
    assert f"longtask answer training-1 --question {question['id']} ANSWER" in told


def test_the_timeline_ends_with_the_end_its_delivery_and_its_archive() -> None:
    told = text(task(objects.TOLD))
    entries = told.partition("Timeline:\n")[2].splitlines()
    assert "  2026-03-01 10:12:05  succeeded: score 0.87" in entries
    assert any("delivered to the session" in entry for entry in entries)
    assert any("archived: agentcore:conversations-a1b2c3d4e5" in entry for entry in entries)
    assert "(timed out" in told
    assert "Artifact:    model, 1.0 KiB, s3://models/1" in told
    assert "longtask result training-1" in told
    assert "End of the log:\n  epoch 10/10 val 0.82" in told


def test_a_failure_has_its_reason_its_hint_and_its_log() -> None:
    told = text(task(objects.FAILED))
    assert "Failure:     OOMKilled: The container used more memory than its limit of 2Gi." in told
    assert "Hint:        Start again with a smaller batch_size" in told
    assert "attempt 1 ended: OOMKilled, exit code 137" in told
    assert "  epoch 7/10: allocating batch 4096" in told


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (
            objects.condition("Accepted", "False", "TemplateNotReady", "not yet"),
            "not accepted yet (TemplateNotReady): not yet",
        ),
        (objects.condition("Accepted"), "accepted: template and parameters fit"),
        (objects.condition("Suspended"), "suspended (BecauseSo)"),
        (objects.condition("Stalled", message="no report"), "stalled (BecauseSo): no report"),
        (objects.condition("Delivered", "False", "Refused", "no"), "not yet delivered to the session (Refused): no"),
        (objects.condition("Archived", "Unknown", "Throttled"), "not yet archived (Throttled)"),
    ],
)
def test_conditions_are_told(condition: dict[str, Any], says: str) -> None:
    assert f"2026-03-01 10:00:00  {says}" in text(task({"phase": "Running", "conditions": [condition]}))


def test_nothing_that_a_task_says_reaches_the_terminal_unescaped() -> None:
    status = objects.FAILED | {
        "message": HOSTILE,
        "failure": {"reason": "Error", "message": HOSTILE, "hint": HOSTILE, "logTail": HOSTILE},
        "progress": {"attempt": 1, "sequence": 1, "message": HOSTILE, "updatedTime": CREATED, "metrics": {HOSTILE: 1}},
        "attempts": [objects.ATTEMPT | {"endTime": CREATED, "reason": HOSTILE, "message": HOSTILE}],
        "inputRequests": [{"id": "a", "message": HOSTILE, "createdTime": CREATED, "answerSchema": HOSTILE}],
        "result": {
            "text": HOSTILE,
            "summary": HOSTILE,
            "mismatch": HOSTILE,
            "artifacts": [{"name": HOSTILE, "uri": HOSTILE}],
        },
    }
    asking = status | {"phase": "WaitingForInput", "completionTime": None}
    for found in (task(status, parameters={HOSTILE: HOSTILE}), task(asking)):
        told = (
            text(found)
            + change(found, NOW)
            + outcome(found)
            + "".join(each.plain for each in rows([found], (), NOW, 500, 5))
        )
        assert "owned" in told
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", told)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (None, "no operator has taken it up for 10m; `longtask doctor` looks why"),
        ({"phase": "Queued", "message": "waiting for quota"}, "waiting for quota"),
        ({"phase": "Suspended", "message": "suspended"}, "suspended"),
        (objects.RUNNING | {"inputRequests": []}, "attempt 2"),
        (objects.RUNNING, f"asks: {objects.QUESTION['message']}"),
        (
            objects.RUNNING | {"inputRequests": [objects.QUESTION, objects.QUESTION | {"id": "other"}]},
            "asks 2 questions",
        ),
        (objects.SUCCEEDED, "score 0.87, after 12m"),
        (objects.CANCELLED_AT_ONCE, ""),
    ],
)
def test_what_a_task_does_is_said_in_a_line(status: dict[str, Any] | None, says: str) -> None:
    assert says in doing(task(status), NOW)


def test_the_time_that_is_left_is_of_the_attempt_that_runs() -> None:
    progress = objects.PROGRESS | {"estimatedCompletionTime": "2026-03-01T10:14:30Z"}
    running = objects.RUNNING | {"inputRequests": [], "progress": progress}
    assert "~4m30s left" in doing(task(running), NOW)
    assert "left" not in doing(task(running | {"attemptCount": 3}), NOW)


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1), ("Cancelled", 3)])
def test_each_end_has_an_exit_code(phase: str, code: int) -> None:
    assert exit_code(task({"phase": phase})) == code


def test_the_outcome_says_what_to_do_now() -> None:
    assert outcome(task(objects.SUCCEEDED)) == "training-1 succeeded after 12m: score 0.87\nlongtask result training-1"
    told = outcome(task(objects.FAILED)).splitlines()
    assert told[0] == "training-1 failed after 5m: OOMKilled: The container used more memory than its limit of 2Gi."
    assert told[1:3] == ["end of the log:", "  epoch 6/10 val 0.81"]
    assert told[-1].startswith("hint: Start again with a smaller batch_size")
    assert outcome(task(objects.RUNNING)).endswith("was deleted before it had ended; its outcome is unknown")


def test_bars_are_as_wide_as_the_terminal_and_no_more_than_fit() -> None:
    many = [task(objects.RUNNING, name=f"日本-{number}" * 3) for number in range(10)]
    for columns in (20, 60, 100):
        found = rows(many, (), NOW, columns, 5)
        assert len(found) == 5
        assert all(width(each.plain) <= columns for each in found)
    assert found[-1].plain == "... and 6 more"


def test_a_bar_is_as_full_as_the_work() -> None:
    def bar(status: dict[str, Any]) -> str:
        (row,) = rows([task(status)], (), NOW, 200, 5)
        return "".join(each for each in row.plain if each in "━─")

    half = objects.RUNNING | {"progress": objects.PROGRESS | {"fraction": 0.5}}
    assert bar(half) == "━" * 10 + "─" * 10
    assert bar(objects.SUCCEEDED) == "━" * 20
    assert bar({"phase": "Running"}) == ""


def shown_by(console: Console, *states: tuple[list[LongTask], set[str], float | None]) -> str:
    with View(console) as view:
        for tasks, gone, silent in states:
            view.show(tasks, gone, NOW, silent)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_each_change_is_a_line() -> None:
    running, done = task(objects.RUNNING | {"inputRequests": []}), task(objects.SUCCEEDED)
    console = Console(file=io.StringIO(), highlight=False, soft_wrap=True, width=40)
    told = shown_by(
        console,
        ([running], set(), None),
        ([running], set(), None),
        ([running], set(), 30.0),
        ([running], set(), 40.0),
        ([running], {running.metadata.uid}, None),
        ([done], set(), None),
    ).splitlines()
    assert [each.split()[:2] for each in told] == [
        ["training-1", "Running"],
        ["the", "cluster"],
        ["training-1", "deleted"],
        ["training-1", "Succeeded"],
    ]
    assert told[1] == "the cluster has said nothing for 30s; still trying"


def test_at_a_terminal_the_bars_stay_in_their_place() -> None:
    console = Console(
        file=io.StringIO(), force_terminal=True, width=80, height=10, color_system="standard", _environ={}
    )
    told = shown_by(console, ([task(objects.RUNNING)], set(), None), ([], set(), 30.0))
    assert "\x1b[1A" in told  # it goes up to write the line anew
    assert "no task is in progress" in told
    assert told.endswith("\x1b[?25h")  # and leaves the cursor as it was


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_dumb_terminal_is_written_to_line_by_line(environment: dict[str, str]) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, _environ=environment)
    assert "\x1b" not in shown_by(console, ([task({"phase": "Pending"})], set(), None))


@pytest.mark.parametrize(
    ("spec", "verdict", "says"),
    [
        ({}, "wrong", "nobody holds the Lease x"),
        (
            {"holderIdentity": "a", "renewTime": "2026-03-01T10:09:55.000000Z", "leaseDurationSeconds": 15},
            "ok",
            "a leads",
        ),
        (
            {"holderIdentity": "a", "renewTime": "2026-03-01T10:09:00.000000Z", "leaseDurationSeconds": 15},
            "wrong",
            "a last renewed the Lease x 60s ago",
        ),
    ],
)
def test_a_lease_says_whether_an_operator_leads(spec: dict[str, Any], verdict: str, says: str) -> None:
    found, what, _ = judged(spec, "x", NOW)
    assert found == verdict
    assert says in what


def test_a_template_is_shown_with_what_it_takes() -> None:
    schema = {
        "type": "object",
        "properties": {
            "epochs": {"type": "integer", "minimum": 1, "default": 10, "description": f"How many{HOSTILE}."},
            "mode": {"enum": ["fast", "slow"]},
            "name": {"type": ["string", "null"], "format": "uri"},
            "any": True,
        },
        "required": ["mode"],
    }
    body = objects.template("training", {"parametersSchema": schema, "title": "Train"})
    template = LongTaskTemplate.from_api(body)
    told = "\n".join(each.plain for each in shown_template(template))
    assert "epochs  integer, minimum 1, default 10. How many\\x1b" in told
    assert 'mode  one of "fast", "slow", required' in told
    assert "name  string or null, format uri" in told
    assert "any  any" in told
    assert "Ready:       Unknown: no operator has checked it yet" in told
    assert told.endswith("longtask start training mode=...")
    assert not re.search("[\x00-\x09\x0b-\x1f]", told)


@pytest.mark.parametrize(
    ("observed", "status", "word"), [(1, "True", "True"), (1, "False", "False"), (0, "True", "Unknown")]
)
def test_a_template_is_ready_once_its_present_form_was_checked(observed: int, status: str, word: str) -> None:
    body = objects.template("training")
    body["metadata"]["generation"] = 1
    conditions = [objects.condition("Ready", status, "InvalidSpec", "it is wrong")]
    body["status"] = {"observedGeneration": observed, "conditions": conditions}
    assert ready(LongTaskTemplate.from_api(body))[0] == word


def test_a_time_is_that_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert "2026-03-01 19:00:00  created" in text(task())
    assert timedelta() <= NOW - datetime.fromisoformat(CREATED)
