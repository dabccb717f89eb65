"""A pod hands in something large, and the operator dies or loses the API server in between; the pod sends it again."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.proxy import Door, Moment
from tests.kube import eventually
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Answer, Caller, reporter
from tests.operator.tasks import Tasks
from tests.patience import PATIENCE

pytestmark = pytest.mark.cluster

LONG = "import time; time.sleep(600)"
FIRST, SECOND = b'"' + b"1" * 50_000 + b'"', b'"' + b"2" * 50_000 + b'"'

WHAT: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "checkpoint": ("checkpoint?sequence={number}", lambda status: status["checkpoint"]["reference"]["uri"]),
    "result": ("result", lambda status: status["result"]["reference"]["uri"]),
    "artifact": ("artifacts/table.csv", lambda status: status["result"]["artifacts"][0]["uri"]),
}
"""Where it is put, and where status says that it is."""
POINTS: dict[str, tuple[str, str, Moment]] = {
    "before it is in the store": ("POST", r"/configmaps", "instead"),
    "when it is in the store": ("POST", r"/configmaps", "during"),
    "when status names it but that is not answered": ("PATCH", r"/longtasks/.*/status", "during"),
    "before what it replaces is dropped": ("DELETE", r"/configmaps/", "instead"),
}


def put(pod: Caller, path: str, body: bytes, number: int) -> Answer | None:
    """None where nobody answers."""
    try:
        return pod.put(path.format(number=number), body, Content_Type="application/json")
    except OSError:
        return None


def stored(tasks: Tasks, uri: str) -> bytes:
    path = f"/api/v1/namespaces/{tasks.kube.namespace}/configmaps/{uri.removeprefix('configmap:')}"
    return base64.b64decode(tasks.kube.get(path).done()["binaryData"]["content"])


def started(tasks: Tasks, operator: OperatorProcess) -> dict[str, Any]:
    """The pod of a task that runs."""
    operator.start()
    uid = tasks.run("work", "job", LONG)
    tasks.wait("work", "Running")
    return tasks.pods(uid)[0]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("what", WHAT)
async def test_an_operator_is_killed_and_what_is_sent_again_is_there_whole(
    tasks: Tasks, door: Door, replicas: Callable[[str], OperatorProcess], what: str, point: str
) -> None:
    (path, uri), (method, request, moment) = WHAT[what], POINTS[point]
    victim, heir = replicas("victim"), replicas("heir")
    pod = await asyncio.to_thread(started, tasks, victim)
    caller = reporter(victim, tasks.kube, pod)
    first = await asyncio.to_thread(put, caller, path, FIRST, 1)
    assert first is not None
    assert first.code == 200

    async def kill() -> None:
        await asyncio.to_thread(victim.kill)

    trap = door.trap(method, request, moment, kill)
    assert await asyncio.to_thread(put, caller, path, SECOND, 2) is None
    await asyncio.wait_for(trap.sprung.wait(), PATIENCE)
    await asyncio.to_thread(heir.start)
    again = await asyncio.to_thread(put, reporter(heir, tasks.kube, pod), path, SECOND, 2)
    assert again is not None
    assert again.code == 200
    assert stored(tasks, uri(tasks.status("work"))) == SECOND


@pytest.mark.parametrize("what", WHAT)
async def test_the_api_server_is_lost_after_it_wrote_and_nothing_that_status_names_is_gone(
    tasks: Tasks, door: Door, replicas: Callable[[str], OperatorProcess], what: str
) -> None:
    path, uri = WHAT[what]
    operator = replicas("only")
    pod = await asyncio.to_thread(started, tasks, operator)
    caller = reporter(operator, tasks.kube, pod)
    assert (await asyncio.to_thread(put, caller, path, FIRST, 1) or Answer(0, {}, b"")).code == 200

    async def cut() -> None:
        raise ConnectionResetError("cut")

    door.trap("PATCH", r"/longtasks/.*/status", "during", cut)
    answer = await asyncio.to_thread(put, caller, path, SECOND, 2)
    assert answer is not None
    assert answer.refused == (503, "Unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert await asyncio.to_thread(stored, tasks, uri(tasks.status("work"))) == SECOND
    again = await asyncio.to_thread(put, caller, path, SECOND, 2)
    assert again is not None
    assert again.code == 200
    assert stored(tasks, uri(tasks.status("work"))) == SECOND


async def test_a_report_without_an_api_server_is_refused_for_now_and_a_held_one_arrives_later(
    tasks: Tasks, door: Door, replicas: Callable[[str], OperatorProcess]
) -> None:
    operator = replicas("only")
    pod = await asyncio.to_thread(started, tasks, operator)
    caller = reporter(operator, tasks.kube, pod)
    assert (await asyncio.to_thread(caller.post, "progress", {"fraction": 0.1, "final": True})).code == 200
    door.shut()
    refused = await asyncio.to_thread(caller.post, "progress", {"fraction": 0.2, "final": True})
    assert refused.refused == (503, "Unavailable")
    assert (await asyncio.to_thread(caller.get, "checkpoint")).refused == (503, "Unavailable")
    assert (await asyncio.to_thread(caller.post, "progress", {"fraction": 0.3})).body == {
        "held": True,
        "outdated": False,
    }
    door.reopen()
    await asyncio.to_thread(
        eventually, lambda: tasks.status("work")["progress"]["fraction"], lambda fraction: fraction == 0.3
    )
