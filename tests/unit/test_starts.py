"""What a start costs the event loop, and what the same start is told that comes while the first is decided."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

import aiohttp
import pytest

from longtask_api import constants
from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_mcp import start_task
from longtask_mcp.cache import Cache
from longtask_mcp.contract.callers import Caller, Owner
from longtask_mcp.contract.errors import StartRefused
from longtask_mcp.contract.idempotency import Start
from longtask_mcp.contract.known import known
from longtask_mcp.contract.own import Owners, OwnTasks
from longtask_mcp.metrics import Metrics
from longtask_mcp.published import Published
from longtask_mcp.start_task import TaskStarter, document
from longtask_mcp.task_client import TaskClient
from longtask_runtime import kube
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

    async def read(self, name: str) -> LongTask | None:
        return self.cache.named(name)

    async def current(self, task: LongTask) -> LongTask | None:
        return await self.read(task.metadata.name)

    async def follows(self, version: int, at_most: float) -> bool:
        self.put_other()
        self.creating.set()
        await self.decide.wait()
        return True

    async def take_back(self, task: LongTask) -> None:
        document = task.to_api()
        document["metadata"]["annotations"] = {constants.ANNOTATION_TAKEN_BACK: ""}
        self._put(document, 40)

    def put_another(self, age: float, version: int, **status: Any) -> LongTask:
        """What another replica created for the same start, so many seconds ago."""
        start = Start(ALICE, "training", {}, "key")
        return self._put({**document(start, start.task_name(0), {}), "status": status}, version, at(-age))

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
def made() -> Cluster:
    return Cluster()


@pytest.fixture
def templates() -> Cache[LongTaskTemplate]:
    templates = Cache[LongTaskTemplate]()
    templates.put(template())
    return templates


@pytest.fixture
def starter(made: Cluster, templates: Cache[LongTaskTemplate]) -> Iterator[TaskStarter]:
    with Validator() as validator:
        published = Published(templates)
        tasks = cast(TaskClient, made)
        yield TaskStarter(
            tasks, templates, published, validator, Metrics(lambda: 0, {}), 1, made.follows, lambda: at(0)
        )


async def test_parameters_beyond_the_limit_are_refused_before_anything_is_read_into_them(
    starter: TaskStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[object]()
    monkeypatch.setattr(start_task, "meant", lambda *given: read.append(given))
    with pytest.raises(StartRefused, match="65536 are allowed"):
        await starter.start(ALICE, "training", {"x": "y" * constants.MAX_PARAMETERS_BYTES}, None)
    assert read == []


@pytest.mark.parametrize("count", [1, 5000])
async def test_what_is_not_small_is_read_beside_the_event_loop(
    starter: TaskStarter, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    threads = list[int]()

    def meant(_: object, values: dict[str, Any]) -> dict[str, Any]:
        threads.append(threading.get_ident())
        return values

    monkeypatch.setattr(start_task, "meant", meant)
    with pytest.raises(StartRefused, match="unknown"):
        await starter.start(ALICE, "training", {"unknown": [0] * count}, None)
    assert [each == threading.get_ident() for each in threads] == [count == 1]


async def test_a_repeated_start_is_told_what_was_decided_about_the_first(starter: TaskStarter, made: Cluster) -> None:
    first = asyncio.create_task(starter.start(ALICE, "training", {}, "key"))
    await made.creating.wait()
    again = asyncio.create_task(starter.start(ALICE, "training", {}, "key"))
    for _ in range(100):
        await asyncio.sleep(0)
    made.decide.set()
    for each in (first, again):
        with pytest.raises(StartRefused, match="You have 1 tasks that have not ended"):
            await each
    assert made.created == 1


async def _begun(starter: TaskStarter, made: Cluster) -> asyncio.Task[start_task.Started]:
    """The same start as another replica's, once it knows what was created before."""
    again = asyncio.create_task(starter.start(ALICE, "training", {}, "key"))
    made.decide.set()
    for _ in range(100):
        await asyncio.sleep(0)
    return again


async def test_a_repeated_start_whose_task_another_replica_takes_back_is_refused_too(
    starter: TaskStarter, made: Cluster
) -> None:
    task = made.put_another(2, 20)
    again = await _begun(starter, made)
    assert not again.done()
    await made.take_back(task)
    with pytest.raises(StartRefused, match="You have 1 tasks that have not ended"):
        await again
    assert made.created == 0


async def test_a_repeated_start_whose_task_is_taken_back_starts_another_once_there_is_room(
    starter: TaskStarter, made: Cluster
) -> None:
    task = made.put_another(2, 20)
    again = await _begun(starter, made)
    made.put_other(39, phase="Succeeded", completionTime=rfc3339(at(0)))
    await made.take_back(task)
    started = await again
    assert (started.repeated, made.created) == (False, 1)
    assert started.task.metadata.name != task.metadata.name


async def test_a_repeated_start_whose_task_goes_on_meanwhile_answers_with_it(
    starter: TaskStarter, made: Cluster
) -> None:
    task = made.put_another(2, 20)
    again = await _begun(starter, made)
    made.put_another(2, 40, phase="Running")
    await asyncio.sleep(0)
    assert not again.done()
    made.put_another(2, 41, phase="Succeeded", completionTime=rfc3339(at(0)))
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
    starter: TaskStarter, made: Cluster, age: float, other: dict[str, Any]
) -> None:
    made.put_another(age, 20)
    made.put_other(11, **other)
    again = await _begun(starter, made)
    assert again.done()
    assert again.result().repeated


def with_epochs(default: int, version: int, **more: Any) -> LongTaskTemplate:
    """The template with a parameter that has a default."""
    properties = {"epochs": {"type": "integer", "default": default}, "size": {"type": "integer"}}
    return template({"parametersSchema": {"type": "object", "properties": properties, **more}}, version=version)


LATER = [
    pytest.param(with_epochs(4, 3), id="another default"),
    pytest.param(with_epochs(3, 3, required=["size"]), id="another parameter is required"),
    pytest.param(template(ready=False, version=3), id="not ready"),
    pytest.param(None, id="gone"),
]


@pytest.mark.parametrize("later", LATER)
async def test_a_keyed_start_meets_its_task_whatever_becomes_of_the_template(
    starter: TaskStarter, made: Cluster, templates: Cache[LongTaskTemplate], later: LongTaskTemplate | None
) -> None:
    made.put_other(phase="Succeeded", completionTime=rfc3339(at(-60)))
    made.decide.set()
    templates.put(with_epochs(3, 2))
    first = await starter.start(ALICE, "training", {}, "a key")
    if later is None:
        templates.remove(template().metadata.uid)
    else:
        templates.put(later)
    again = await starter.start(ALICE, "training", {}, "a key")
    assert (again.repeated, again.task.metadata.uid) == (True, first.task.metadata.uid)
    with pytest.raises(StartRefused):
        await starter.start(ALICE, "training", {"epochs": 5, "size": 1}, "a key")
    assert made.created == 1


@pytest.mark.parametrize("given", [{}, {"epochs": 3}], ids=["as it came", "as it was completed"])
async def test_a_task_of_an_earlier_release_is_met_by_its_complete_parameters(
    starter: TaskStarter, made: Cluster, templates: Cache[LongTaskTemplate], given: dict[str, Any]
) -> None:
    made.decide.set()
    templates.put(with_epochs(3, 2))
    start = Start(ALICE, "training", {"epochs": 3}, "a key")
    assert not document(start, "x", {})["metadata"]["annotations"]
    await made.create(document(start, start.task_name(0), {}))
    assert (await starter.start(ALICE, "training", given, "a key")).repeated
    with pytest.raises(StartRefused, match="was used for another start"):
        await starter.start(ALICE, "training", {"epochs": 5}, "a key")


@pytest.mark.parametrize(("ready", "again"), [(None, 10), (False, 60)], ids=["not checked yet", "refused"])
async def test_a_template_that_is_not_ready_is_told_with_when_to_call_again(
    starter: TaskStarter, templates: Cache[LongTaskTemplate], ready: bool | None, again: int
) -> None:
    templates.put(template(ready=ready, version=2))
    with pytest.raises(StartRefused) as refused:
        await starter.start(ALICE, "training", {}, None)
    assert (refused.value.code, refused.value.retry_after_seconds) == ("template_not_ready", again)


class LosingAnswers:
    """An API server whose answers to creates are lost, before or after it has stored what they create."""

    def __init__(self, stores: bool) -> None:
        self._stores = stores
        self._answers = False
        self.stored: dict[str, Any] = {}

    async def request(self, _: object, verb: str, path: str, *, body: Any = None, **__: object) -> Any:
        if verb == "GET":
            return self.stored[path.rpartition("/")[2]]
        lost, self._answers = not self._answers, True
        name = body["metadata"]["name"]
        if name in self.stored and not lost:
            raise kube.KubeError(409, "AlreadyExists", "it is there")
        if self._stores or not lost:
            head = {"uid": name, "resourceVersion": "20", "creationTimestamp": rfc3339(at(0))}
            self.stored.setdefault(name, {**body, "metadata": {**body["metadata"], **head}})
        if lost:
            raise aiohttp.ServerDisconnectedError
        return self.stored[name]


@pytest.mark.parametrize("stores", [True, False])
async def test_a_create_whose_answer_is_lost_makes_a_new_task(
    templates: Cache[LongTaskTemplate], monkeypatch: pytest.MonkeyPatch, stores: bool
) -> None:
    server = LosingAnswers(stores)
    monkeypatch.setattr(kube, "request", server.request)
    tasks, decided = TaskClient(cast(Any, None), "x"), list[int]()

    async def follows(version: int, at_most: float) -> bool:
        decided.append(version)
        return True

    with Validator() as validator:
        published, metrics = Published(templates), Metrics(lambda: 0, {})
        starter = TaskStarter(tasks, templates, published, validator, metrics, 1, follows, lambda: at(1))
        started = await starter.start(ALICE, "training", {}, "a key")
    assert not started.repeated
    assert decided == [20], "it is held against the limit as every new task"
    assert list(server.stored) == [started.task.metadata.name]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "size: is no number that JSON can hold"),
        (10**400, "size: is an integer beyond 63 bits"),
        ("\ud800", "size: holds half a surrogate pair"),
        ({"\ud800": ["\ud800"]}, "size: holds half a surrogate pair"),
    ],
    ids=["nan", "huge", "half", "half in a name"],
)
async def test_a_value_that_cannot_be_kept_is_told_by_its_name(
    starter: TaskStarter, templates: Cache[LongTaskTemplate], value: object, told: str
) -> None:
    templates.put(with_epochs(3, 2))
    for key in (None, "a key"):
        with pytest.raises(StartRefused, match=f"\n- {told}"):
            await starter.start(ALICE, "training", {"epochs": 1, "size": value}, key)
