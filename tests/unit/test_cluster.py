"""Requests that nothing may depend on: they fail, and the step goes on."""

from typing import Any

import aiohttp
import pytest
from kubernetes.aio.client import ApiClient

from longtask_operator import cluster as module
from longtask_operator.cluster import Cluster
from longtask_operator.leader import NotLeading, Term
from longtask_runtime.kube import KubeError
from tests.unit import given


def no_term() -> Term:
    raise NotLeading("nobody leads")


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
    assert await Cluster(ApiClient(), "tasks", no_term).pod_usage(given.pod()) is None
