"""What a call answers when the start, the wait and the reads after it do not all go well."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_mcp.answer_task import InputAnswers
from longtask_mcp.cache import Cache
from longtask_mcp.call import Call
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.errors import AgentError, KubernetesUnavailable, ToolNotFound
from longtask_mcp.leading import Leading
from longtask_mcp.metrics import Metrics
from longtask_mcp.published import Published
from longtask_mcp.start_task import TaskStarter
from longtask_mcp.task_client import TaskClient
from longtask_mcp.tool_handlers import ToolHandlers
from longtask_mcp.wait_task import TaskWaiter
from longtask_runtime.validation import Validator
from tests.unit import virtual_time
from tests.unit.given import at, template
from tests.unit.test_starts import ALICE, Cluster

ENDED = {"phase": "Succeeded", "completionTime": rfc3339(at(0)), "result": {"value": 1}}


class Replica:
    """The calls of one server, and its view of the tasks."""

    def __init__(self, validator: Validator) -> None:
        self.silent: str | None = None
        self.cluster = Cluster()
        self.cluster.decide.set()
        self.templates = templates = Cache[LongTaskTemplate]()
        templates.put(template())
        tasks, published = cast(TaskClient, self.cluster), Published(templates)
        metrics = Metrics(lambda: 0, {})
        starter = TaskStarter(tasks, templates, published, validator, metrics, 3, self.cluster.follows, lambda: at(0))
        leading = Leading(cast(Any, None), None, "x")
        waiting, answering = TaskWaiter(tasks, asyncio.Event()), InputAnswers(tasks, validator)
        self._calls = ToolHandlers(
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


async def test_the_tool_of_a_template_that_is_gone_still_meets_what_it_started(replica: Replica) -> None:
    task_id = (await replica.call("training", idempotency_key="a key")).envelope["task_id"]
    replica.templates.remove(template().metadata.uid)
    again = await replica.call("training", idempotency_key="a key")
    assert (again.envelope["task_id"], again.envelope["repeated"]) == (task_id, True)
    keys: list[object] = [None, "another", []]
    for key in keys:
        with pytest.raises(ToolNotFound):
            await replica.call("training", idempotency_key=key)


def answered(call: Callable[[], Awaitable[Answer]]) -> tuple[float, Answer | AgentError]:
    """Seconds until the answer to a call, on a clock of its own, and what it says."""
    told = list[tuple[float, Answer | AgentError]]()

    async def main() -> None:
        try:
            answer: Answer | AgentError = await call()
        except AgentError as error:
            answer = error
        told.append((asyncio.get_running_loop().time(), answer))

    virtual_time.until_idle(main)
    return told[0]


def slow(do: Callable[..., Awaitable[Any]], seconds: float) -> Callable[..., Awaitable[Any]]:
    async def slowly(*arguments: Any) -> Any:
        await asyncio.sleep(seconds)
        return await do(*arguments)

    return slowly


@pytest.mark.parametrize(("creating", "seconds"), [(12, 50), (52, 52)], ids=["a wait is left", "no wait is left"])
def test_the_time_of_a_wait_counts_from_the_arrival_of_the_call(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, creating: float, seconds: float
) -> None:
    monkeypatch.setattr(replica.cluster, "create", slow(replica.cluster.create, creating))
    at, answer = answered(lambda: replica.start(wait_seconds=50))
    assert isinstance(answer, Answer)
    assert (at, answer.envelope["status"]) == (seconds, "started")


def test_a_start_that_takes_too_long_is_told_before_the_client_gives_up(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica.cluster, "create", slow(replica.cluster.create, 70))
    seconds, error = answered(replica.start)
    assert isinstance(error, KubernetesUnavailable)
    assert seconds < 60


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("start_task", {"template": "training", "idempotency_key": "key", "wait_seconds": 50}),
        ("wait_for_task", {"task_id": "x", "timeout_seconds": 50}),
    ],
)
def test_reads_after_a_wait_have_what_is_left_of_the_time(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, tool: str, arguments: dict[str, Any]
) -> None:
    task = replica.cluster.put_another(60, 20)

    async def find(*_: object) -> LongTask:
        return task

    async def whole(read: LongTask) -> LongTask:
        if read.is_terminal:
            await asyncio.sleep(1000)
        return read

    monkeypatch.setattr(replica.cluster, "find", find, raising=False)
    monkeypatch.setattr(replica.cluster, "whole", whole, raising=False)

    async def call() -> Answer:
        asyncio.get_running_loop().call_later(40, lambda: replica.cluster.put_another(60, 21, **ENDED))
        return await replica.call(tool, **arguments)

    seconds, answer = answered(call)
    assert seconds < 60
    if isinstance(answer, Answer):
        assert answer.envelope["task_id"] == task.metadata.uid
    else:
        assert isinstance(answer, KubernetesUnavailable)


async def _as_it_is(task: LongTask) -> LongTask:
    return task
