"""Requests that nothing may depend on: they fail, and the step goes on."""

import asyncio
from datetime import datetime
from typing import Any, ClassVar

import aiohttp
import pytest
from kubernetes.aio.client import ApiClient

from longtask_api import constants
from longtask_operator import task_namespace as module
from longtask_operator.leader_election import NotLeading, Term
from longtask_operator.planning.actions import StopPod
from longtask_operator.task_namespace import TaskNamespace
from longtask_runtime import clock, kube
from longtask_runtime.kube import KubeError
from tests.unit import given


def no_term() -> Term:
    raise NotLeading("nobody leads")


async def test_the_clock_is_not_heard_of_a_metrics_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    async def answer(*_: object, **more: Any) -> Any:
        asked.append(more)
        return {}

    monkeypatch.setattr(module, "request", answer)
    await TaskNamespace(ApiClient(), "tasks", no_term).pod_usage(given.pod())
    assert asked == [{"proxied": True}]


@pytest.mark.parametrize(("proxied", "heard"), [(True, []), (False, ["Sun, 01 Mar 2026 10:00:00 GMT"])])
async def test_the_date_of_another_server_is_not_that_of_the_api_server(
    monkeypatch: pytest.MonkeyPatch, *, proxied: bool, heard: list[str]
) -> None:
    dates: list[str] = []

    class Connection:
        headers: ClassVar = {"Date": "Sun, 01 Mar 2026 10:00:00 GMT"}

        async def __aenter__(self) -> None:
            return None

        async def __aexit__(self, *_: object) -> None:
            return None

    class Response:
        response, status = Connection(), 200

        async def read(self) -> bytes:
            return b"{}"

    async def send(*_: object, **__: object) -> Response:
        return Response()

    client = ApiClient()
    monkeypatch.setattr(client.rest_client, "request", send)
    monkeypatch.setattr(clock.CLOCK, "hear", lambda date, sent: dates.append(date))
    assert await kube.request(client, "GET", "/", proxied=proxied) == {}
    assert dates == heard


@pytest.mark.parametrize(
    "error",
    [
        KubeError(404, "NotFound", "no metrics server"),
        KubeError(500, "InternalError", "etcd is away"),
        aiohttp.ClientConnectionError("connection refused"),
        TimeoutError("no answer"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_usage_that_cannot_be_had_fails_no_step(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def fail(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(module, "request", fail)
    assert await TaskNamespace(ApiClient(), "tasks", no_term).pod_usage(given.pod()) is None


@pytest.mark.parametrize(
    ("error", "noted"),
    [
        (aiohttp.ServerDisconnectedError(), 1),
        (TimeoutError("no answer"), 1),
        (KubeError(504, "Timeout", "the request was not completed in time"), 1),
        (KubeError(409, "Conflict", "it has changed"), 0),
        (KubeError(403, "Forbidden", "no"), 0),
    ],
    ids=["disconnected", "timeout", "gateway", "conflict", "refused"],
)
@pytest.mark.parametrize("given_up", [True, False])
async def test_a_write_that_got_no_answer_is_noted_although_nobody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception, noted: int, *, given_up: bool
) -> None:
    sent, answered, noticed = asyncio.Event(), asyncio.Event(), []

    async def fail(*_: object, **__: object) -> Any:
        sent.set()
        await answered.wait()
        raise error

    monkeypatch.setattr(module, "request", fail)
    term = Term(10, given.at(10))
    cluster = TaskNamespace(ApiClient(), "tasks", lambda: term, lambda: noticed.append(1))
    writing = asyncio.create_task(cluster.act(given.task(), StopPod(given.running_pod())))
    await sent.wait()
    if given_up:
        writing.cancel()
    answered.set()
    await asyncio.wait([writing])
    assert len(noticed) == noted


@pytest.mark.parametrize("part", [0, 700_000], ids=["whole", "with a fraction"])
def test_each_write_of_a_term_says_another_moment_of_its_last_second(part: int) -> None:
    """To the API server, whose times are whole seconds, they are one: what is earlier than all is in time."""
    over = given.at(60)
    said = {
        datetime.fromisoformat(
            module._not_after(Term(5, over.replace(microsecond=part)))[constants.ANNOTATION_NOT_AFTER]
        )
        for _ in range(100)
    }
    assert len(said) > 90
    assert all(given.at(59) < moment <= over for moment in said)
