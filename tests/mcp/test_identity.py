"""Who may call, and what those read who may not."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from mcp import MCPError

from tests.mcp.replica import ERAS, Replica, agent, running
from tests.mcp.test_starting_once import raw_start
from tests.mcp.world import World


async def post(url: str, token: str | None, **headers: str) -> httpx2.Response:
    """A start as a raw request, to see status and headers."""
    standard, body = raw_start("legacy", "identity")
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.post(url, json=body, headers=standard | headers)


@pytest.mark.parametrize(
    ("audience", "reason", "told"),
    [
        (None, "Missing", "a bearer token with audience longtask.dev/mcp is needed"),
        ("", "Invalid", "the token is not valid in this cluster; one with audience longtask.dev/mcp is needed"),
        ("other", "WrongAudience", "the token is for another audience; longtask.dev/mcp is needed"),
    ],
)
async def test_a_request_without_a_good_token_is_refused_with_the_reason(
    world: World, replica: Replica, audience: str | None, reason: str, told: str
) -> None:
    counter = f'longtask_mcp_auth_refusals_total{{reason="{reason}"}}'
    before = await replica.metric(counter)
    token = await world.token("alice", audience) if audience else "rubbish" if audience == "" else None
    response = await post(replica.url, token)
    assert response.status_code == 401
    assert response.json()["error"]["message"] == told
    assert f'error_description="{told}"' in response.headers["www-authenticate"]
    assert await replica.metric(counter) == before + 1
    assert f'"reason": "{reason}"' in replica.log()


@pytest.mark.parametrize("era", ERAS)
async def test_the_client_s_own_error_names_the_reason(world: World, replica: Replica, era: str) -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(MCPError, match="the token is for another audience"),
        flatten_subgroups=True,
        allow_unwrapped=True,
    ):
        async with agent(replica.url, await world.token("alice", "other"), era):
            pass


async def test_a_caller_without_the_right_to_create_tasks_is_forbidden(world: World, replica: Replica) -> None:
    response = await post(replica.url, await world.token("mallory"))
    assert response.status_code == 403
    assert response.json()["error"]["message"] == (
        f"system:serviceaccount:{world.namespace}:mallory may not create longtasks.longtask.dev in namespace "
        f"{world.namespace}; a RoleBinding there would allow it"
    )
    assert await replica.metric('longtask_mcp_auth_refusals_total{reason="Forbidden"}') >= 1


async def test_tokens_are_never_logged(world: World, replica: Replica, alice: str) -> None:
    stray = await world.token("alice", "other")
    await post(replica.url, stray)
    await post(replica.url, alice)
    assert stray not in replica.log()
    assert alice not in replica.log()


async def test_any_host_is_served_where_every_caller_has_a_token(replica: Replica, alice: str) -> None:
    assert (await post(replica.url, alice, Host="longtask-mcp.agents.svc:8080")).status_code == 200


async def test_only_listed_hosts_are_served_when_hosts_are_listed(world: World, kubeconfig: Path, alice: str) -> None:
    hosts = {"allowed_hosts": '["mcp.example.com"]'}
    async with running(kubeconfig, world.namespace, kubeconfig.parent, **hosts) as replica:
        assert (await post(replica.url, alice)).status_code == 421
        assert (await post(replica.url, alice, Host="mcp.example.com")).status_code == 200


@pytest.fixture
async def open_replica(world: World, kubeconfig: Path) -> AsyncIterator[Replica]:
    async with running(kubeconfig, world.namespace, kubeconfig.parent, auth="none") as process:
        yield process


async def test_without_tokens_everybody_is_one_caller_on_loopback(world: World, open_replica: Replica) -> None:
    async with agent(open_replica.url, None) as session:
        reply = await session.call("model_training", model_name="open")
    requester = (await world.task(reply.task_id)).spec.requester
    assert requester is not None
    assert requester.principal == "anonymous"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "attacker.example:80"}, 421), ({"Origin": "http://attacker.example"}, 403), ({}, 200)],
)
async def test_without_tokens_other_hosts_and_origins_are_kept_out(
    open_replica: Replica, headers: dict[str, str], status: int
) -> None:
    assert (await post(open_replica.url, None, **headers)).status_code == status
