"""How late the session of an agent knows: tasks that end at once, beside the same events written by boto3 alone."""

import asyncio
import itertools
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.audit import AuditLog
from bench.cluster_api import ClusterApi, Document, connect
from bench.figures import percentiles
from bench.processes import cpu_seconds
from bench.workload import BENCH_AGENT, namespace_of, say, tasks_path
from longtask_api import constants
from longtask_api.base import rfc3339
from longtask_operator.delivery.dispatcher import CALL_INTERVAL
from tests.agentcore import MEMORY, REGION, AgentCoreMemory, agentcore_memory
from tests.operator.process import OperatorProcess

ACTOR = "bench"
SECONDS = 300


async def measure(tasks: int, sessions: int) -> dict[str, Any]:
    """So many tasks, of so many sessions, that end at once."""
    folder = Path(tempfile.mkdtemp())
    with agentcore_memory(folder) as memory:
        async with connect(BENCH_AGENT) as api, namespace_of(api) as namespace:
            settings = {"MEMORY_REGION": REGION, "MEMORY_IDS": json.dumps([MEMORY])}
            operator = OperatorProcess(namespace, folder / "log", settings=settings, environment=memory.environment)
            await asyncio.to_thread(operator.start)
            try:
                delivered = await _delivered(api, namespace, operator, memory, tasks, sessions)
            finally:
                await asyncio.to_thread(operator.kill)
        say(f"delivery: {delivered['completion_to_event_s']}")
        return {"tasks": tasks, "sessions": sessions, **delivered, "floor": await _floor(memory, tasks, sessions)}


async def _delivered(
    api: ClusterApi, namespace: str, operator: OperatorProcess, memory: AgentCoreMemory, tasks: int, sessions: int
) -> dict[str, Any]:
    assert operator.process is not None
    path = tasks_path(namespace)
    await api.create_all(path, [_task(f"task-{number}", f"s-{number % sessions}") for number in range(tasks)])
    audit, before = AuditLog(namespace), cpu_seconds(operator.process.pid)
    version = await api.version(path)
    ended: dict[str, float] = {}

    async def end(number: int) -> None:
        name = f"task-{number}"
        ended[name] = time.time()
        await api.request("PATCH", f"{path}/{name}/status", _end(), "application/merge-patch+json")

    watching = asyncio.create_task(api.until_all(path, tasks, _is_delivered, version))
    await asyncio.gather(*(end(number) for number in range(tasks)))
    await asyncio.wait_for(watching, SECONDS)
    spent = cpu_seconds(operator.process.pid) - before
    listed = {item["metadata"]["name"]: item for item in (await api.request("GET", path))["items"]}
    writes = [each for each in await audit.settled() if each.writes and each.manager == "longtask-delivery"]
    made = await asyncio.to_thread(memory.calls, "CreateEvent")
    told = {call["clientToken"]: call["at"] for call in made if call["status"] == 201}
    late = [told[_event(item)["clientToken"]] - ended[name] for name, item in listed.items()]
    return {
        "completion_to_event_s": percentiles(late, 2),
        "events": await asyncio.to_thread(_events, memory, sessions),
        "out_of_order": sum(_out_of_order(listed.values(), f"s-{number}") for number in range(sessions)),
        "throttled": sum(call["status"] == 429 for call in made if call["sessionId"].startswith("s-")),
        "busiest_second_of_a_session": _busiest(made),
        "calls_per_task": dict(_calls(await asyncio.to_thread(memory.calls), tasks)),
        "status_writes_per_task": round(sum(each.ok for each in writes) / tasks, 2),
        "operator_cpu_ms_per_task": round(spent / tasks * 1000, 1),
    }


async def _floor(memory: AgentCoreMemory, tasks: int, sessions: int) -> dict[str, Any]:
    """The same number of events in other sessions, by boto3 alone, at the operator's own pace."""
    client, begun = memory.client(), time.time()

    def write(session: int) -> list[float]:
        late: list[float] = []
        for number in range(session, tasks, sessions):
            payload = [{"conversational": {"content": {"text": f"{number}"}, "role": "USER"}}]
            where = {"memoryId": MEMORY, "actorId": ACTOR, "sessionId": f"floor-{session}"}
            client.create_event(**where, eventTimestamp=datetime.now(UTC), payload=payload)
            late.append(time.time() - begun)
            time.sleep(CALL_INTERVAL)
        return late

    with ThreadPoolExecutor(sessions) as threads:
        running = [asyncio.get_running_loop().run_in_executor(threads, write, number) for number in range(sessions)]
        return {"event_s": percentiles((each for late in await asyncio.gather(*running) for each in late), 2)}


def _task(name: str, session: str) -> Document:
    memory = {"memoryId": MEMORY, "actorId": ACTOR, "sessionId": session}
    spec = {"templateRef": {"name": "none"}, "requester": {"principal": ACTOR}, "memory": memory}
    return {"apiVersion": constants.API_VERSION, "kind": constants.TASK_KIND, "metadata": {"name": name}, "spec": spec}


def _end() -> Document:
    now = rfc3339(datetime.now(UTC))
    done = {"type": "Succeeded", "status": "True", "reason": "Completed", "lastTransitionTime": now}
    return {"status": {"phase": "Succeeded", "completionTime": now, "conditions": [done], "result": {"value": 1}}}


def _is_delivered(task: Document) -> bool:
    conditions = task.get("status", {}).get("conditions", [])
    return any(each["type"] == "Delivered" and each["status"] == "True" for each in conditions)


def _event(task: Document) -> Document:
    event: Document = task["status"]["delivery"]["events"][0]
    return event


def _events(memory: AgentCoreMemory, sessions: int) -> int:
    return sum(len(memory.events(ACTOR, f"s-{number}")) for number in range(sessions))


def _out_of_order(tasks: Iterable[Document], session: str) -> int:
    """How many tasks of the session stand in it before one that ended earlier, in whole seconds."""
    own = sorted(
        (each for each in tasks if each["spec"]["memory"]["sessionId"] == session), key=lambda t: _event(t)["eventTime"]
    )
    ends = [each["status"]["completionTime"] for each in own]
    return sum(later < earlier for earlier, later in itertools.pairwise(ends))


def _busiest(calls: Iterable[Mapping[str, Any]]) -> int:
    moments = defaultdict[str, list[float]](list)
    for call in calls:
        if call["sessionId"].startswith("s-"):
            moments[call["sessionId"]].append(call["at"])
    return max(sum(at <= other < at + 1 for other in each) for each in moments.values() for at in each)


def _calls(calls: Iterable[Mapping[str, Any]], tasks: int) -> Iterable[tuple[str, float]]:
    """Calls of each operation; CreateEvent counts the archive's too."""
    counted = Counter(call["operation"] for call in calls)
    return ((operation, round(number / tasks, 2)) for operation, number in sorted(counted.items()))
