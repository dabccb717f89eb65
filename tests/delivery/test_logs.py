"""What nobody may read in a log, at whatever level: tokens, keys, and what was said."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from longtask_api.constants import AUDIENCE_REPORT, AUDIENCE_TASK_API
from tests.agentcore import MEMORY, AgentCoreMemory
from tests.delivery.ended import ACTOR, SNAPSHOT, end
from tests.kube import Kube
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller

pytestmark = pytest.mark.cluster

SAID = "the password of the vault is tulip"
SECRETS = {"AWS_SECRET_ACCESS_KEY": "secret-key-of-a-test", "AWS_SESSION_TOKEN": "session-token-of-a-test"}


async def test_a_debug_log_of_a_delivery_a_record_and_calls_has_no_secret(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], memory: AgentCoreMemory
) -> None:
    operator = replicas("only")
    operator.settings["LOG_LEVEL"] = "DEBUG"
    operator.environment.update(SECRETS)
    memory.client().create_event(
        memoryId=MEMORY,
        actorId=ACTOR,
        sessionId=namespace.namespace,
        eventTimestamp=datetime.now(UTC),
        payload=[{"conversational": {"content": {"text": SAID}, "role": "USER"}}],
    )
    await asyncio.to_thread(operator.start)
    task = await asyncio.to_thread(
        end,
        namespace,
        "task",
        namespace.namespace,
        result={"text": SAID},
        templateSnapshot=SNAPSHOT | {"delivery": {"longTermRecord": True}},
    )
    await asyncio.to_thread(task.delivered)
    tokens = [token(namespace, audience) for audience in (AUDIENCE_REPORT, AUDIENCE_TASK_API)]
    for each in tokens:
        for base, path in (("/v1/report", "heartbeat"), ("/v1", f"tasks/{task.uid}/log")):
            await asyncio.to_thread(Caller(operator.task_api_port, each, base).get, path)

    log = operator.log.read_text()
    assert task.uid in log, "it is the log of the delivery"
    for secret in (SAID, "tulip", *SECRETS.values(), *tokens, *(each.split(".")[-1] for each in tokens)):
        assert secret not in log


def token(kube: Kube, audience: str) -> str:
    """Of the namespace's default account."""
    path = f"/api/v1/namespaces/{kube.namespace}/serviceaccounts/default/token"
    return str(kube.create(path, {"spec": {"audiences": [audience]}}).done()["status"]["token"])
