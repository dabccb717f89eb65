"""Lists as agents read them."""

import pytest

from longtask_api.longtask import LongTask
from longtask_mcp.contract.arguments import ListTasks
from longtask_mcp.contract.errors import BadArguments
from longtask_mcp.contract.task_list import template_list
from tests.mcp.objects import NOW, ago, task, task_page, template, uid

RUNNING = {"phase": "Running"}
FAILED = {"phase": "Failed", "failure": {"reason": "OOMKilled", "message": "x"}}


def tasks(count: int) -> list[LongTask]:
    """The higher the number, the older; two are created in the same second."""
    return [task(uid=uid(n), name=f"t-{n}", creationTimestamp=ago(minutes=n // 2)) for n in range(1, count + 1)]


def shown(found: dict[str, object]) -> list[str]:
    entries = found["tasks"]
    assert isinstance(entries, list)
    return [entry["task_id"] for entry in entries]


def test_newest_first_on_short_lines() -> None:
    listed = [
        task(uid=uid(1), creationTimestamp=ago(hours=3), status=FAILED),
        task(uid=uid(2), creationTimestamp=ago(minutes=5), status=RUNNING),
    ]
    assert task_page(listed, ListTasks(), NOW).text.splitlines() == [
        f"{uid(2)} model-training: running; created 5 min ago",
        f"{uid(1)} model-training: failed: OOMKilled; created 3 h ago",
    ]


def test_nothing_to_show_is_said() -> None:
    assert task_page([], ListTasks(), NOW).text == "You have no tasks."
    assert task_page(tasks(1), ListTasks(status="failed"), NOW).text == "You have no tasks like that."


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (ListTasks(), [3, 2, 1]),
        (ListTasks(status="failed"), [2]),
        (ListTasks(template="other"), [3]),
        (ListTasks(status="failed", template="other"), []),
    ],
)
def test_filters(wanted: ListTasks, numbers: list[int]) -> None:
    listed = [
        task(uid=uid(1), creationTimestamp=ago(minutes=3), status=RUNNING),
        task(uid=uid(2), creationTimestamp=ago(minutes=2), status=FAILED),
        task({"templateRef": {"name": "other"}}, uid=uid(3), creationTimestamp=ago(minutes=1), status=RUNNING),
    ]
    assert shown(task_page(listed, wanted, NOW).envelope) == [uid(number) for number in numbers]


def test_following_the_cursor_shows_every_task_once() -> None:
    cursor, seen, rounds = None, list[str](), 0
    while rounds == 0 or cursor:
        answer = task_page(tasks(25), ListTasks(limit=7, cursor=cursor), NOW)
        seen += shown(answer.envelope)
        cursor, rounds = answer.envelope.get("cursor"), rounds + 1
    assert rounds == 4
    assert len(seen) == len(set(seen)) == 25


def test_the_last_line_says_how_many_more_there_are() -> None:
    answer = task_page(tasks(25), ListTasks(), NOW)
    assert len(shown(answer.envelope)) == 20
    assert answer.text.splitlines()[-1].startswith("5 more: call list_tasks with cursor=")
    assert answer.envelope["more"] == 5


@pytest.mark.parametrize("cursor", ["x", "1.2.x", "99999999999999999999.x"])
def test_a_cursor_of_ones_own_making_is_an_error(cursor: str) -> None:
    if cursor == "1.2.x":
        assert shown(task_page(tasks(3), ListTasks(cursor=cursor), NOW).envelope) == []
        return
    with pytest.raises(BadArguments, match="cursor: not one that list_tasks gave"):
        task_page(tasks(3), ListTasks(cursor=cursor), NOW)


def test_templates_are_told_with_all_one_needs_to_start_them() -> None:
    schema = {"type": "object", "properties": {"epochs": {"type": "integer"}}}
    ready = template(title="Model Training", description="Trains.", parametersSchema=schema, activeDeadlineSeconds=60)
    answer = template_list([template("broken", ready=False), ready])
    assert answer.envelope == {
        "templates": [
            {
                "template": "model-training",
                "tool": "model_training",
                "title": "Model Training",
                "description": "Trains.",
                "parameters_schema": schema,
                "default_deadline_seconds": 60,
            }
        ],
        "not_available": [{"template": "broken", "reason": "PodSecurityViolation: runAsNonRoot is not set"}],
    }
    assert '"epochs": {"type": "integer"}' in answer.text
    assert "broken: not available: PodSecurityViolation" in answer.text


def test_an_empty_catalogue_is_said() -> None:
    assert template_list([]).text == "There are no templates yet."
