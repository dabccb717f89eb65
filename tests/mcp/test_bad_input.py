"""Whatever is wrong with a call, the agent is told what and where, and nothing is created."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2
import pytest
from mcp import MCPError

from longtask_api import constants
from tests.mcp.replica import ERAS, Agent, Replica
from tests.mcp.test_starting_once import raw_start
from tests.mcp.world import World, eventually

Session = Callable[..., AbstractAsyncContextManager[Agent]]
eras = pytest.mark.parametrize("era", ERAS)
CODES = {
    "invalid_arguments",
    "invalid_parameters",
    "task_not_found",
    "template_not_found",
    "tool_not_found",
}
LARGE = "x" * 100 * 1024


@pytest.fixture
async def nothing_created(world: World) -> AsyncIterator[None]:
    before = {task.metadata.uid for task in await world.tasks()}
    yield
    assert {task.metadata.uid for task in await world.tasks()} == before


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@eras
@pytest.mark.usefixtures("nothing_created")
@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("model_training", {"model_name": "digits", "epochs": "many"}, '\n- epochs: "many" is not of type "integer"'),
        ("model_training", {"model_name": "digits", "epochs": 0}, "\n- epochs: 0 is less than the minimum of 1"),
        ("model_training", {"model_name": "digits", "epohcs": 3}, "epohcs"),
        ("model_training", {}, "model_name"),
        ("model_training", {"model_name": "../../etc/passwd"}, '\n- model_name: "../../etc/passwd" does not match'),
        ("model_training", {"model_name": "a\0b"}, "model_name"),
        ("model_training", {"model_name": "digits", "epochs": 10**400}, "epochs: is an integer beyond 63 bits"),
        ("model_training", {"model_name": nested(150)}, "model_name"),
        ("model_training", {"model_name": LARGE}, f"{constants.MAX_PARAMETERS_BYTES} are allowed"),
        ("model_training", {"model_name": "digits", "wait_seconds": 600}, "wait_seconds: must be at most 50, not 600"),
        ("start_task", {"template": "model-trainig"}, "template: there is no template 'model-trainig'. Available: "),
        ("start_task", {"template": "../model-training"}, "template: there is no template '../model-training'"),
        ("start_task", {"template": "model-training", "parameters": "x"}, 'parameters: must be a JSON object, not "x"'),
        ("start_task", {"template": "model-training", "parameters": {"x": 1}}, "x: no such parameter"),
        ("start_task", {"parameters": {}}, "template: is missing"),
        ("start_task", {"template": "model-training", "wait": 5}, "wait: no such argument; allowed are"),
        ("check_task_status", {"task_id": "../../longtasks/x"}, "task not found: ../../longtasks/x. Ids are never"),
        ("check_task_status", {}, "task_id: is missing"),
        ("get_task_logs", {"task_id": "x", "tail_lines": 0}, "tail_lines: must be at least 1, not 0"),
        ("list_tasks", {"cursor": "x"}, "cursor: not one that list_tasks gave"),
        ("model_trainig", {}, "There is no tool 'model_trainig' (any more). list_templates shows"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str | dict) else None,
)
async def test_a_bad_call_is_told_what_is_wrong(
    as_alice: Session, tool: str, arguments: dict[str, Any], told: str, era: str
) -> None:
    async with as_alice(era) as session:
        reply = await session.call(tool, **arguments)
    assert reply.error
    assert told in reply.text
    assert len(reply.text) < 2000
    assert reply.envelope["message"] == reply.text
    assert reply.envelope["error_code"] in CODES


@eras
@pytest.mark.usefixtures("nothing_created")
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_numbers_that_are_not_json_are_refused(replica: Replica, alice: str, era: str, number: str) -> None:
    headers, body = raw_start(era, "not-json")
    headers["Authorization"] = f"Bearer {alice}"
    body["params"]["arguments"]["epochs"] = "EPOCHS"
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        text = httpx2.Request("POST", replica.url, json=body).content.decode().replace('"EPOCHS"', number)
        response = await http.post(replica.url, content=text, headers=headers)
    assert "was started" in response.text or response.status_code == 400


async def refusal(session: Agent, era: str, **arguments: Any) -> str:
    """What a call is told whose request is not read. An older client would end its session on any other answer than
    that of a tool."""
    if era == "legacy":
        reply = await session.call("model_training", **arguments)
        assert (reply.error, reply.envelope["error_code"]) == (True, "request_refused")
        return reply.text
    with pytest.raises(MCPError) as told:
        await session.call("model_training", **arguments)
    return str(told.value)


@eras
@pytest.mark.usefixtures("nothing_created")
async def test_a_body_beyond_the_limit_is_an_error_and_not_a_hang(as_alice: Session, era: str) -> None:
    async with as_alice(era) as session:
        assert "at most 524288 bytes are read" in await refusal(session, era, model_name=LARGE * 6)
        assert not (await session.call("list_templates")).error


@eras
@pytest.mark.usefixtures("nothing_created")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"model_name":' * 3000 + "1" + "}" * 3000, "the request is nested deeper than 190 levels"),
        ('{"model_name":[' + "[]," * 170_000 + "1]}", "the request has more than 200000 values"),
    ],
    ids=["deep", "many"],
)
async def test_a_body_that_nobody_should_parse_is_refused_before_it_is(
    replica: Replica, alice: str, era: str, arguments: str, told: str
) -> None:
    headers, body = raw_start(era, "too-much")
    headers["Authorization"] = f"Bearer {alice}"
    body["params"]["arguments"] = "ARGUMENTS"
    text = json.dumps(body).replace('"ARGUMENTS"', arguments)
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        response = await http.post(replica.url, content=text, headers=headers)
    answer = response.json()
    if era == "legacy":
        assert (response.status_code, answer["result"]["isError"]) == (200, True)
        assert answer["result"]["content"][0]["text"] == f"{told}. Nothing was started."
    else:
        assert (response.status_code, answer["error"]["message"]) == (400, f"{told}. Nothing was started.")


@pytest.mark.usefixtures("nothing_created")
async def test_a_pattern_that_would_backtrack_for_ever_decides_at_once(world: World, as_alice: Session) -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string", "pattern": "^(a+)+$"}}}
    await world.template("slow-pattern", parametersSchema=schema)
    async with as_alice() as session:

        async def known() -> bool:
            return "slow_pattern" in await session.tool_names()

        await eventually(known, "the template's tool")
        slow = await session.call("slow_pattern", text="a" * 40 + "!")
        assert slow.error
        assert f'text: "{"a" * 40}!" does not match "^(a+)+$"' in slow.text


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_only_post_is_served(replica: Replica, alice: str, method: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        response = await http.request(method, replica.url, headers={"Authorization": f"Bearer {alice}"})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
