"""What a start costs the event loop, and what the same start is told that comes while the first is decided."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

import pytest

from longtask_api import names
from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_mcp import starting
from longtask_mcp.cache import Cache
from longtask_mcp.contract.callers import Caller, Owner
from longtask_mcp.contract.errors import StartRefused
from longtask_mcp.contract.idempotency import Start
from longtask_mcp.contract.known import known
from longtask_mcp.contract.own import Owners, OwnTasks
from longtask_mcp.metrics import Metrics
from longtask_mcp.published import Published
from longtask_mcp.starting import Starter, document
from longtask_mcp.tasks import Tasks
from longtask_runtime.validation import Validator
from tests.unit.given import at, template

ALICE = Caller("alice")
MADE = at(-3600)
SPEC = {"templateRef": {"name": "training"}, "requester": {"principal": "alice"}}


class Cluster:
    """One replica's view of the tasks; one more of the same caller appears before what it creates is decided."""

    def __init__(self) -> None:
        self._owners = Owners()
        self.cache = Cache[LongTask](self._owners)
        self.creating, self.decide = asyncio.Event(), asyncio.Event()
        self.created = 0

    def own(self, whose: Owner) -> OwnTasks:
        return self._owners.of(whose)

    async def create(self, document: dict[str, Any]) -> LongTask:
        self.created += 1
        return self._put(document, 20 + self.created)

    async def follows(self, version: int, at_most: float) -> bool:
        self.put_other()
        self.creating.set()
        await self.decide.wait()
        return True

    async def take_back(self, task: LongTask) -> None:
        document = task.to_api()
        document["metadata"]["annotations"] = {names.ANNOTATION_TAKEN_BACK: ""}
        self._put(document, 40)

    def put_another(self, age: float, version: int, **status: Any) -> LongTask:
        """What another replica created for the same start, so many seconds ago."""
        start = Start(ALICE, "training", {}, "key")
        return self._put({**document(start, start.task_name(0)), "status": status}, version, at(-age))

    def put_other(self, version: int = 10, **status: Any) -> LongTask:
        """A task of the same caller."""
        spec = {**SPEC, "idempotencyKey": "other"}
        return self._put({"metadata": {"name": "other"}, "spec": spec, "status": status}, version)

    def _put(self, document: dict[str, Any], version: int, created: datetime = MADE) -> LongTask:
        name = document["metadata"]["name"]
        head = {"uid": name, "namespace": "x", "creationTimestamp": rfc3339(created), "generation": 1}
        made = {**document, "metadata": {**head, **document["metadata"], "resourceVersion": str(version)}}
        self.cache.put(known(made))
        return LongTask.from_api(made)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def starter(cluster: Cluster) -> Iterator[Starter]:
    templates = Cache[LongTaskTemplate]()
    templates.put(template())
    with Validator() as validator:
        published = Published(templates)
        tasks = cast(Tasks, cluster)
        yield Starter(tasks, templates, published, validator, Metrics(lambda: 0, {}), 1, cluster.follows, lambda: at(0))


async def test_parameters_beyond_the_limit_are_refused_before_anything_is_read_into_them(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[object]()
    monkeypatch.setattr(starting, "meant", lambda *given: read.append(given))
    with pytest.raises(StartRefused, match="65536 are allowed"):
        await starter.start(ALICE, "training", {"x": "y" * names.MAX_PARAMETERS_BYTES}, None)
    assert read == []


@pytest.mark.parametrize("count", [1, 5000])
async def test_what_is_not_small_is_read_beside_the_event_loop(
    starter: Starter, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    threads = list[int]()

    def meant(_: object, values: dict[str, Any]) -> dict[str, Any]:
        threads.append(threading.get_ident())
        return values

    monkeypatch.setattr(starting, "meant", meant)
    with pytest.raises(StartRefused, match="unknown"):
        await starter.start(ALICE, "training", {"unknown": [0] * count}, None)
    assert [each == threading.get_ident() for each in threads] == [count == 1]


async def test_a_repeated_start_is_told_what_was_decided_about_the_first(starter: Starter, cluster: Cluster) -> None:
    first = asyncio.create_task(starter.start(ALICE, "training", {}, "key"))
    await cluster.creating.wait()
    again = asyncio.create_task(starter.start(ALICE, "training", {}, "key"))
    for _ in range(100):
        await asyncio.sleep(0)
    cluster.decide.set()
    for each in (first, again):
        with pytest.raises(StartRefused, match="You have 1 tasks that have not ended"):
            await each
    assert cluster.created == 1


async def _begun(starter: Starter, cluster: Cluster) -> asyncio.Task[starting.Started]:
    """The same start as another replica's, once it knows what was created before."""
    again = asyncio.create_task(starter.start(ALICE, "training", {}, "key"))
    cluster.decide.set()
    for _ in range(100):
        await asyncio.sleep(0)
    return again


async def test_a_repeated_start_whose_task_another_replica_takes_back_is_refused_too(
    starter: Starter, cluster: Cluster
) -> None:
    task = cluster.put_another(2, 20)
    again = await _begun(starter, cluster)
    assert not again.done()
    await cluster.take_back(task)
    with pytest.raises(StartRefused, match="You have 1 tasks that have not ended"):
        await again
    assert cluster.created == 0


async def test_a_repeated_start_whose_task_is_taken_back_starts_another_once_there_is_room(
    starter: Starter, cluster: Cluster
) -> None:
    task = cluster.put_another(2, 20)
    again = await _begun(starter, cluster)
    cluster.put_other(39, phase="Succeeded", completionTime=rfc3339(at(0)))
    await cluster.take_back(task)
    started = await again
    assert (started.repeated, cluster.created) == (False, 1)
    assert started.task.metadata.name != task.metadata.name


async def test_a_repeated_start_whose_task_goes_on_meanwhile_answers_with_it(
    starter: Starter, cluster: Cluster
) -> None:
    task = cluster.put_another(2, 20)
    again = await _begun(starter, cluster)
    cluster.put_another(2, 40, phase="Running")
    await asyncio.sleep(0)
    assert not again.done()
    cluster.put_another(2, 41, phase="Succeeded", completionTime=rfc3339(at(0)))
    started = await again
    assert (started.repeated, started.task.metadata.uid) == (True, task.metadata.uid)


@pytest.mark.parametrize(
    ("age", "other"),
    [
        pytest.param(60, {}, id="decided-long-ago"),
        pytest.param(2, {"phase": "Succeeded", "completionTime": rfc3339(at(-30))}, id="the-other-had-ended"),
    ],
)
async def test_a_repeated_start_whose_task_is_surely_kept_is_answered_at_once(
    starter: Starter, cluster: Cluster, age: float, other: dict[str, Any]
) -> None:
    cluster.put_another(age, 20)
    cluster.put_other(11, **other)
    again = await _begun(starter, cluster)
    assert again.done()
    assert again.result().repeated
