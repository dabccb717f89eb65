"""What a call answers when the start, the wait and the reads after it do not all go well."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_mcp.answering import Answering
from longtask_mcp.cache import Cache
from longtask_mcp.calls import Call, Calls
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.errors import KubernetesUnavailable
from longtask_mcp.leading import Leading
from longtask_mcp.metrics import Metrics
from longtask_mcp.published import Published
from longtask_mcp.starting import Starter
from longtask_mcp.tasks import Tasks
from longtask_mcp.waiting import Waiting
from longtask_runtime.validation import Validator
from tests.unit.given import at, template
from tests.unit.test_starts import ALICE, Cluster

ENDED = {"phase": "Succeeded", "completionTime": rfc3339(at(0)), "result": {"value": 1}}


class Replica:
    """The calls of one server, and its view of the tasks."""

    def __init__(self, validator: Validator) -> None:
        self.silent: str | None = None
        self.cluster = Cluster()
        self.cluster.decide.set()
        templates = Cache[LongTaskTemplate]()
        templates.put(template())
        tasks, published = cast(Tasks, self.cluster), Published(templates)
        metrics = Metrics(lambda: 0, {})
        starter = Starter(tasks, templates, published, validator, metrics, 3, self.cluster.follows, lambda: at(0))
        leading = Leading(cast(Any, None), None, "x")
        waiting, answering = Waiting(self.cluster.cache, asyncio.Event()), Answering(tasks, validator)
        self._calls = Calls(
            tasks, templates, starter, answering, waiting, leading, None, lambda: at(0), lambda: self.silent
        )

    async def call(self, tool: str, **arguments: Any) -> Answer:
        async def report(*_: object) -> None:
            pass

        return await self._calls.answer(Call(ALICE, "1", tool, arguments, report))

    async def start(self, **arguments: Any) -> Answer:
        return await self.call("start_task", template="training", idempotency_key="key", **arguments)


@pytest.fixture
def replica() -> Iterator[Replica]:
    with Validator() as validator:
        yield Replica(validator)


async def test_a_repeated_start_that_waits_says_that_it_is_repeated(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica.cluster.put_another(60, 20, **ENDED)
    monkeypatch.setattr(replica.cluster, "whole", _as_it_is, raising=False)
    at_once, waited = await replica.start(), await replica.start(wait_seconds=1)
    assert waited.envelope["status"] == "completed"
    assert waited.envelope["result"] == 1
    assert (waited.envelope["repeated"], waited.envelope["note"]) == (True, at_once.envelope["note"])


@pytest.mark.parametrize("error", [KubernetesUnavailable("no route"), RuntimeError("a defect")], ids=repr)
async def test_a_start_whose_wait_fails_answers_with_its_task(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    task = replica.cluster.put_another(60, 20, **ENDED)

    async def fails(_: LongTask) -> LongTask:
        raise error

    monkeypatch.setattr(replica.cluster, "whole", fails, raising=False)
    answer = await replica.start(wait_seconds=1)
    assert answer.envelope["task_id"] == task.metadata.uid
    assert answer.envelope["repeated"]
    assert "no second one was started" in answer.envelope["note"]
    assert "could not be waited for" in answer.envelope["note"]
    assert "could not be waited for" in answer.text


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (("list_tasks", {}), True),
        (("resume_brief", {}), True),
        (("list_templates", {}), True),
        (("start_task", {"template": "training"}), True),
        (("start_task", {"template": "training", "idempotency_key": "key"}), False),
    ],
    ids=["tasks", "brief", "templates", "a task that runs", "a task that has ended"],
)
async def test_what_may_be_out_of_date_says_so(replica: Replica, call: tuple[str, dict[str, Any]], told: bool) -> None:
    replica.cluster.put_another(60, 20, **ENDED)
    replica.cluster.put_other(phase="Succeeded", completionTime=rfc3339(at(0)))
    tool, arguments = call
    assert "out_of_date" not in (await replica.call(tool, **arguments)).envelope
    replica.silent = "nothing was heard of longtasks for 60 s (the API server sends no events)"
    answer = await replica.call(tool, **arguments)
    assert (answer.envelope.get("out_of_date") == replica.silent, replica.silent in answer.text) == (told, told)


async def _as_it_is(task: LongTask) -> LongTask:
    return task
