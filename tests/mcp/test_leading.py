"""Agents are told when no operator leads, so that what they read of running tasks is old."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.client import ApiClient

from longtask_api.base import rfc3339, rfc3339_microseconds
from longtask_mcp.contract import answers
from longtask_mcp.leading import Leading, led_last
from longtask_runtime import clock, kube
from tests.mcp.objects import NOW, ago, task
from tests.mcp.replica import ERAS, agent, running
from tests.mcp.world import World

LEASE = {"renewTime": ago(seconds=31), "leaseDurationSeconds": 15, "holderIdentity": "operator-1"}


@pytest.mark.parametrize(
    ("spec", "away"),
    [
        pytest.param(LEASE, True, id="the-leader-is-gone"),
        pytest.param(LEASE | {"holderIdentity": ""}, True, id="it-was-given-back"),
        pytest.param(LEASE | {"renewTime": ago(seconds=30)}, False, id="another-may-still-take-it"),
        pytest.param(LEASE | {"renewTime": ago(seconds=0)}, False, id="one-leads"),
        pytest.param({"leaseDurationSeconds": 15}, False, id="never-held"),
        pytest.param({"renewTime": ago(minutes=9)}, False, id="no-duration"),
        pytest.param({}, False, id="not-read"),
    ],
)
def test_nobody_leads_once_a_lease_is_over_twice(spec: dict[str, Any], away: bool) -> None:
    assert led_last(spec, NOW) == (datetime.fromisoformat(ago(seconds=31)) if away else None)


def test_the_answer_says_since_when_in_a_sentence_and_in_a_field() -> None:
    told = answers.status(task(status={"phase": "Running"}), NOW)
    answer = answers.led_by_nobody(told, NOW - timedelta(minutes=5), NOW)
    assert answer.text.startswith(told.text)
    assert "No operator has led since 2026-" in answer.text
    assert "(5 min ago)" in answer.text
    assert answer.envelope == told.envelope | {"operator_away_since": rfc3339(NOW - timedelta(minutes=5))}


@pytest.mark.parametrize(
    "answer", [kube.KubeError(403, "Forbidden", "no"), aiohttp.ClientError(), TimeoutError(), {"metadata": {}}]
)
async def test_a_lease_that_cannot_be_read_says_nothing_and_is_asked_for_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    asked: list[str] = []

    async def request(_: ApiClient, verb: str, path: str, **__: Any) -> Any:
        asked.append(f"{verb} {path}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(kube, "request", request)
    lease = Leading(ApiClient(), "system", "longtask-operator", lambda: NOW)
    for _ in range(3):
        assert await lease.away_since() is None
    assert asked == ["GET /apis/coordination.k8s.io/v1/namespaces/system/leases/longtask-operator"]


async def test_without_a_namespace_of_the_lease_nobody_is_asked() -> None:
    assert await Leading(ApiClient(), None, "longtask-operator").away_since() is None


@pytest.mark.parametrize("era", ERAS)
async def test_agents_are_told_of_tasks_that_have_not_ended(
    world: World, kubeconfig: Path, alice: str, new_key: Callable[[], str], tmp_path: Path, era: str
) -> None:
    away, name = clock.now() - timedelta(minutes=5), f"lease-{era}"
    path = f"/apis/coordination.k8s.io/v1/namespaces/{world.namespace}/leases"
    spec = {"renewTime": rfc3339_microseconds(away), "leaseDurationSeconds": 15, "holderIdentity": ""}
    await kube.request(world.client, "POST", path, body={"metadata": {"name": name}, "spec": spec})
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [name], "verbs": ["get"]}
    await world.allow(name, [rule], "server")
    where = {"lease_namespace": world.namespace, "lease_name": name}
    async with (
        running(kubeconfig, world.namespace, tmp_path, **where) as replica,
        agent(replica.url, alice, era) as session,
    ):
        started = await session.call("model_training", model_name="digits", idempotency_key=new_key())
        told = [
            started,
            await session.call("check_task_status", task_id=started.task_id),
            await session.call("wait_for_task", task_id=started.task_id, timeout_seconds=1),
            await session.call("get_task_results", task_id=started.task_id),
            await session.call("list_tasks"),
            await session.call("resume_brief"),
        ]
        for reply in told:
            assert "No operator has led since" in reply.text
            assert reply.envelope["operator_away_since"] == rfc3339(away)
        assert "No operator" not in (await session.call("list_templates")).text
