"""Events of a task reach the API server, or the log: they never make a step fail."""

import logging
from collections.abc import Callable
from typing import Any, cast

import aiohttp
import pytest
from kubernetes.aio.client import ApiClient

from longtask_operator import task_namespace
from longtask_operator.task_namespace import TaskNamespace
from longtask_runtime.kube import KubeError
from tests.unit.given import task
from tests.unit.virtual_time import until_idle

BUSY = KubeError(429, "TooManyRequests", "later")
AWAY = aiohttp.ClientError("connection refused")
BROKEN = KubeError(500, "InternalError", "etcd")
FORBIDDEN = KubeError(403, "Forbidden", "no")
STORED_BEFORE = KubeError(409, "AlreadyExists", "the same name")


@pytest.mark.parametrize(
    ("answers", "tries", "logged"),
    [
        ([None], 1, False),
        ([AWAY, None], 2, False),
        ([BROKEN, BUSY, None], 3, False),
        ([TimeoutError(), STORED_BEFORE], 2, False),
        ([AWAY, AWAY, AWAY], 3, True),
        ([FORBIDDEN], 1, True),
    ],
    ids=["at once", "away", "busy", "the answer was lost", "away for long", "refused"],
)
def test_an_event_is_tried_again_under_one_name_and_then_logged(
    answers: list[Exception | None],
    tries: int,
    logged: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent: list[dict[str, Any]] = []

    async def request(*_: object, body: dict[str, Any]) -> None:
        answer = answers[len(sent)]
        sent.append(body)
        if answer is not None:
            raise answer

    monkeypatch.setattr(task_namespace, "request", request)
    no_term = cast(Callable[[], Any], None)
    with caplog.at_level(logging.WARNING):
        until_idle(
            lambda: TaskNamespace(cast(ApiClient, None), "tasks", no_term).post_event(
                task(), "Warning", "Error", "disk full"
            )
        )
    assert len(sent) == tries
    assert len({event["metadata"]["name"] for event in sent}) == 1
    assert [record.message for record in caplog.records] == ([f"Event not stored: {answers[-1]}"] if logged else [])
    assert not logged or caplog.records[0].__dict__["event"]["message"] == "disk full"
