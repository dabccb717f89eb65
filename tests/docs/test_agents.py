"""What the page for owners of agents shows: answers in the server's own words, and clients that work."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from longtask_api.longtask import Memory
from longtask_mcp.contract import answers, news
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.own import OwnTasks
from longtask_mcp.contract.progress_text import briefly
from longtask_mcp.contract.resume_brief import MAX_CHARACTERS
from tests.docs.pages import ROOT, blocks
from tests.mcp.objects import NOW, ago, task, uid
from tests.mcp.replica import Replica, agent, running
from tests.mcp.world import World

PAGE = "docs/agents.md"
CONNECT, TOKEN_FILE, CONVERSATION, WHOLE_RESULT = blocks("python", "agent", PAGE)
TEXTS = " ".join(word for block in blocks("text") for word in block.text.split())

HALF_DONE: dict[str, Any] = {
    "phase": "Running",
    "attemptCount": 2,
    "progress": {
        "attempt": 2,
        "sequence": 6,
        "fraction": 0.6,
        "display": "60% (epoch 6/10)",
        "message": "validating",
        "metrics": {"val": 0.81},
        "estimatedCompletionTime": ago(minutes=-4.5),
    },
    "checkpoint": {"attempt": 1, "sequence": 5, "text": "5", "savedTime": ago(seconds=30)},
}
ASKING: dict[str, Any] = {
    "phase": "WaitingForInput",
    "attemptCount": 1,
    "inputRequests": [
        {
            "id": "delete",
            "message": "Delete 40 files older than 30 days?",
            "answerSchema": '{"type": "boolean"}',
            "default": "false",
            "createdTime": ago(minutes=5),
            "expiresTime": ago(minutes=-55),
        }
    ],
}
TRAINING = HALF_DONE | {"progress": HALF_DONE["progress"] | {"message": None, "metrics": {"loss": 1 / 6}}}
COUNTING: dict[str, Any] = {
    "phase": "Running",
    "attemptCount": 1,
    "progress": {
        "attempt": 1,
        "sequence": 42,
        "fraction": 0.42,
        "display": "42% (number 42,000/100,000)",
        "estimatedCompletionTime": ago(seconds=-40),
    },
}
SILENT: dict[str, Any] = {
    "phase": "Running",
    "lastReportTime": ago(minutes=12),
    "conditions": [{"type": "Stalled", "status": "True", "reason": "NoReport", "lastTransitionTime": ago(minutes=1)}],
}


@pytest.mark.parametrize("status", [HALF_DONE, ASKING, TRAINING, COUNTING])
def test_answers_are_shown_as_they_are_given(status: dict[str, Any]) -> None:
    assert answers.status(task(status=status), NOW).text in TEXTS


def test_news_are_shown_as_they_are_given() -> None:
    times = {"startTime": ago(minutes=13), "completionTime": ago(minutes=1)}
    done = task(status={"phase": "Succeeded", "attemptCount": 1, **times, "result": {"value": {"accuracy": 0.97}}})
    own = OwnTasks([done, *(task(uid=uid(number), status={"phase": "Running"}) for number in (2, 3))])
    scope = news.Scope.of(Caller("alice"), None, False)
    answer = news.answer(news.seen_of_all(own, scope, news.first_cursor(NOW)), scope, None, NOW)
    assert " ".join(answer.text.replace(answer.envelope["cursor"], "CURSOR").split()) in TEXTS


def test_work_that_tells_nothing_is_told_in_the_words_of_the_page() -> None:
    told = briefly(task(status=SILENT), NOW).partition(", ")[2]
    assert told.startswith("no report for")
    assert f"`{told}`" in (ROOT / PAGE).read_text()


@pytest.mark.cluster
async def test_the_client_that_is_shown_connects(replica: Replica, alice: str) -> None:
    environment = {"PATH": os.environ["PATH"], "MCP_URL": replica.url, "MCP_TOKEN": alice}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CONNECT.text, env=environment, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0
    assert {"model_training", "answer_task"} <= set(output.decode().splitlines())


@pytest.mark.cluster
async def test_a_token_that_is_renewed_in_its_file_counts_from_the_next_request(
    replica: Replica, alice: str, tmp_path: Path
) -> None:
    shown: dict[str, Any] = {}
    exec(TOKEN_FILE.text, shown)
    token = tmp_path / "token"
    token.write_text(f"{alice}\n")
    async with (
        httpx2.AsyncClient(auth=shown["TokenFile"](str(token)), trust_env=False, timeout=30) as http,
        Client(streamable_http_client(replica.url, http_client=http), mode="legacy") as client,
    ):
        assert not (await client.call_tool("list_tasks", {})).is_error
        token.write_text("not a token")
        with pytest.raises(MCPError):
            await client.call_tool("list_tasks", {})
        token.write_text(alice)
        assert not (await client.call_tool("list_tasks", {})).is_error


@pytest.mark.cluster
async def test_the_headers_that_are_shown_are_those_of_a_conversation(
    world: World, kubeconfig: Path, alice: str, tmp_path: Path
) -> None:
    shown: dict[str, Any] = {}
    exec(CONVERSATION.text, shown)
    settings = {
        "trusted_principals": json.dumps([f"system:serviceaccount:{world.namespace}:alice"]),
        "memory_ids": '["conversations-a1b2c3d4e5"]',
    }
    headers = shown["conversation"]("conversations-a1b2c3d4e5", "ann", "tuesday")
    async with (
        running(kubeconfig, world.namespace, tmp_path, **settings) as trusting,
        agent(trusting.url, alice, headers=headers) as session,
    ):
        started = await session.call("model_training", model_name="docs", idempotency_key="docs-conversation")
    memory = (await world.task(started.task_id)).spec.memory
    assert memory == Memory(memory_id="conversations-a1b2c3d4e5", actor_id="ann", session_id="tuesday")


def test_the_bound_of_the_brief_is_the_one_that_is_told() -> None:
    assert f"at most {MAX_CHARACTERS:,} characters" in " ".join((ROOT / PAGE).read_text().split())


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("result", "expected"),
    [({"text": "größer " * 4000}, "größer " * 4000), ({"value": {"score": 1}}, {"score": 1})],
    ids=["pages", "one page"],
)
async def test_the_reader_of_large_results_gets_the_whole(
    world: World, replica: Replica, alice: str, result: dict[str, Any], expected: Any
) -> None:
    shown: dict[str, Any] = {}
    exec(WHOLE_RESULT.text, shown)
    async with agent(replica.url, alice) as session:
        started = await session.call("model_training", model_name="docs", idempotency_key=f"docs-{len(str(expected))}")
        await world.set_status(started.task_id, phase="Succeeded", result=result)
        await session.call("wait_for_task", task_id=started.task_id)
        assert await shown["whole_result"](session.client, started.task_id) == expected
