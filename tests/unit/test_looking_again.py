"""What it costs to look for a task that the cache does not have."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from longtask_api.longtask import LongTask
from longtask_mcp import task_client as tasks_module
from longtask_mcp.contract.callers import Owner
from longtask_mcp.contract.errors import KubernetesUnavailable, TaskUnreadable
from longtask_mcp.contract.known import known
from longtask_mcp.task_client import TaskClient
from longtask_runtime import kube

ALICE = Owner("alice")


def uid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


class History:
    """An API server that has tasks of alice, and gives them page by page."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self.limits: list[int] = []
        self.lists = 0
        self.failing: Exception | None = None

    def add(self, number: int, size: int = 10, **status: Any) -> dict[str, Any]:
        document = {
            "metadata": {
                "name": f"training-{number}",
                "uid": uid(number),
                "resourceVersion": str(number),
                "creationTimestamp": "2026-03-01T10:00:00Z",
            },
            "spec": {
                "templateRef": {"name": "training"},
                "requester": {"principal": "alice"},
                "parameters": {"x": "y" * size},
            },
            "status": status,
        }
        self.documents.append(document)
        return document

    async def request_text(self, _: object, verb: str, path: str, query: dict[str, str]) -> bytes:
        if self.failing is not None:
            raise self.failing
        begin, limit = int(query.get("continue", 0)), int(query["limit"])
        self.lists += begin == 0
        self.limits.append(limit)
        following = {"continue": str(begin + limit)} if begin + limit < len(self.documents) else {}
        metadata = {"resourceVersion": "1000", **following}
        return json.dumps({"metadata": metadata, "items": self.documents[begin : begin + limit]}).encode()


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setattr(tasks_module, "LOOK_AGAIN_SECONDS", 0.0)
    history = History()
    monkeypatch.setattr(kube, "request_text", history.request_text)
    return history


@pytest.fixture
def tasks() -> TaskClient:
    return TaskClient(cast(Any, None), "x")


async def test_a_long_history_comes_in_pages_as_short_as_its_tasks_are_large(
    history: History, tasks: TaskClient
) -> None:
    for number in range(1, 60):
        history.add(number, 100_000)
    assert await tasks.find(ALICE, uid(59)) is not None
    assert len(tasks.cache) == 59
    assert max(history.limits) <= 20


async def test_what_the_cache_has_in_that_version_is_not_read_again(
    history: History, tasks: TaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[str]()
    for number in range(1, 10):
        tasks.cache.put(known(history.add(number)))
    history.add(10)

    def counted(document: dict[str, Any]) -> Any:
        read.append(document["metadata"]["uid"])
        return known(document)

    monkeypatch.setattr(tasks._some, "_model", counted)
    assert await tasks.find(ALICE, uid(10)) is not None
    assert read == [uid(10)]


async def test_a_list_of_one_caller_takes_nothing_of_others_out_of_the_cache(
    history: History, tasks: TaskClient
) -> None:
    other = history.add(1)
    history.documents.clear()
    tasks.cache.put(known(other))
    assert await tasks.find(ALICE, uid(2)) is None
    assert tasks.cache.get(uid(1)) is not None


async def test_what_is_another_s_costs_no_list(history: History, tasks: TaskClient) -> None:
    tasks.cache.put(known(history.add(1)))
    assert await tasks.find(Owner("bob"), uid(1)) is None
    assert history.lists == 0


async def test_an_id_that_is_not_there_is_looked_for_once(history: History, tasks: TaskClient) -> None:
    history.add(1)
    assert [await tasks.find(ALICE, uid(2)) for _ in range(3)] == [None, None, None]
    assert history.lists == 1
    assert await tasks.find(ALICE, uid(3)) is None
    assert history.lists == 2


async def test_a_list_that_failed_says_nothing_of_an_id(history: History, tasks: TaskClient) -> None:
    history.add(1)
    history.failing = kube.KubeError(500, "InternalError", "no leader")
    with pytest.raises(KubernetesUnavailable):
        await tasks.find(ALICE, uid(1))
    history.failing = kube.KubeError(410, "Expired", "the continue token is too old")
    with pytest.raises(KubernetesUnavailable, match="to the end"):
        await tasks.find(ALICE, uid(1))
    history.failing = None
    assert await tasks.find(ALICE, uid(1)) is not None


async def test_a_list_that_failed_does_not_count_for_those_who_waited_for_it(
    history: History, tasks: TaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_module, "LOOK_AGAIN_SECONDS", 0.2)
    await tasks.find(ALICE, uid(9))
    history.add(1)
    first, second = (asyncio.create_task(tasks.find(ALICE, uid(number))) for number in (2, 1))
    history.failing = kube.KubeError(500, "InternalError", "no leader")
    with pytest.raises(KubernetesUnavailable):
        await first
    history.failing = None
    assert await second is not None


async def test_ids_that_are_not_there_are_not_remembered_for_ever(
    history: History, tasks: TaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_module, "REMEMBERED_LOOKS", 3)
    for number in range(10):
        await tasks.find(ALICE, uid(number))
    assert len(tasks._absent) == 3


async def test_a_task_that_cannot_be_read_hides_no_other(history: History, tasks: TaskClient) -> None:
    history.add(1, phase="Paused")
    history.add(2)
    assert await tasks.find(ALICE, uid(2)) is not None
    assert await tasks.find(ALICE, uid(1)) is None


@pytest.mark.parametrize("verb", ["GET", "POST", "PATCH"])
async def test_a_task_that_cannot_be_read_is_told_in_words(
    history: History, tasks: TaskClient, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    unreadable, readable = history.add(1, phase="Paused"), LongTask.from_api(history.add(2))

    async def request(*_: object, **__: object) -> Any:
        return unreadable

    monkeypatch.setattr(kube, "request", request)
    answers: dict[str, Callable[[], Awaitable[object]]] = {
        "GET": lambda: tasks.read("training-1"),
        "POST": lambda: tasks.create(unreadable),
        "PATCH": lambda: tasks.cancel(readable),
    }
    with pytest.raises(TaskUnreadable, match="Task training-1 is in the cluster, in a form"):
        await answers[verb]()
