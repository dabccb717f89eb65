"""Callers from outside the cluster, with tokens of their own issuers, next to service accounts."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from longtask_api.agentcore_ids import actor_of
from tests.mcp import certificates
from tests.mcp.issuer import AUDIENCE, Issuer, issuing
from tests.mcp.replica import ERAS, Agent, Replica, agent, running
from tests.mcp.test_identity import post
from tests.mcp.test_resumption import Raw
from tests.mcp.test_starting_once import raw_start
from tests.mcp.world import World, eventually
from tests.ports import free_port

MEMORY = "team-0123456789"
METADATA = f"{AUDIENCE.removesuffix('/mcp')}/.well-known/oauth-protected-resource/mcp"
NAMED = f'resource_metadata="{METADATA}"'
SCOPES = {"read": ["tasks:read"], "start": ["tasks:start"], "cancel": ["tasks:cancel"]}


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as made:
        yield made


@pytest.fixture(scope="module")
async def gateway_issuer() -> AsyncIterator[Issuer]:
    """Like Amazon Cognito: no aud, but client_id and scope. Its users speak for themselves through a gateway."""
    async with issuing("/eu-central-1_a1b2c3d4e") as made:
        yield made


@pytest.fixture(scope="module")
async def scoped_issuer() -> AsyncIterator[Issuer]:
    async with issuing("/scoped") as made:
        yield made


@pytest.fixture(scope="module")
async def server(
    world: World, kubeconfig: Path, issuer: Issuer, gateway_issuer: Issuer, scoped_issuer: Issuer
) -> AsyncIterator[Replica]:
    await world.admit(
        *("outside", "oidc:alice", "oidc:bob", "oidc:auth0|7", "gateway:client-1", "scoped:alice"), groups=["oidc:team"]
    )
    issuers: list[dict[str, Any]] = [
        {"issuer": issuer.url, "audiences": [AUDIENCE], "groupsClaim": "groups"},
        {
            "issuer": gateway_issuer.url,
            "withoutAudience": {"clients": ["client-1"], "scopes": ["longtask/use"]},
            "prefix": "gateway:",
            "principalClaim": "client_id",
            "actorClaim": "sub",
        },
        {"issuer": scoped_issuer.url, "audiences": [AUDIENCE], "prefix": "scoped:", "scopes": SCOPES},
    ]
    settings = {
        "jwt_issuers": json.dumps(issuers),
        "public_url": AUDIENCE,
        "memory_ids": json.dumps([MEMORY]),
        "default_memory_id": MEMORY,
        "trusted_principals": '["gateway:client-1"]',
    }
    keys = kubeconfig.parent / "keys-of-outside-callers"
    keys.write_text("k" * 32)
    settings["resume_keys_file"] = str(keys)
    async with running(kubeconfig, world.namespace, kubeconfig.parent, **settings) as replica:
        yield replica


def gateway_token(issuer: Issuer, **claims: Any) -> str:
    standard = {"aud": None, "client_id": "client-1", "scope": "longtask/use", "token_use": "access"}
    return issuer.token(**{**standard, **claims})


async def start(url: str, token: str, headers: Mapping[str, str] | None = None) -> str:
    """The id of a new task."""
    async with agent(url, token, headers=headers) as session:
        return (await session.call("model_training", model_name="outside", idempotency_key=str(uuid4()))).task_id


@pytest.mark.parametrize("era", ERAS)
async def test_users_of_an_issuer_and_service_accounts_see_their_own_tasks_only(
    world: World, server: Replica, issuer: Issuer, alice: str, era: str
) -> None:
    tokens = {"oidc:alice": issuer.token(), "oidc:bob": issuer.token(sub="bob"), "account": alice}
    started = {}
    for name, token in tokens.items():
        async with agent(server.url, token, era) as session:
            started[name] = (await session.call("model_training", model_name="outside")).task_id
    for name, token in tokens.items():
        async with agent(server.url, token, era) as session:
            for whose, uid in started.items():
                reply = await session.call("check_task_status", task_id=uid)
                assert reply.error == (whose != name), (name, whose, reply.text)
            listed = {each["task_id"] for each in (await session.call("list_tasks", limit=100)).envelope["tasks"]}
            assert listed & set(started.values()) == {started[name]}
    requester = (await world.task(started["oidc:alice"])).spec.requester
    assert requester is not None
    assert requester.principal == "oidc:alice"


async def test_a_name_that_kubernetes_could_not_have_owns_tasks_too(
    world: World, server: Replica, issuer: Issuer
) -> None:
    spec = (await world.task(await start(server.url, issuer.token(sub="auth0|7")))).spec
    assert spec.requester is not None
    assert spec.requester.principal == "oidc:auth0|7"
    assert spec.memory is not None
    assert spec.memory.actor_id == actor_of("oidc:auth0|7")


async def test_rbac_says_who_may_start_tasks_by_user_or_by_group(server: Replica, issuer: Issuer) -> None:
    refused = await post(server.url, issuer.token(sub="carol"))
    assert refused.status_code == 403
    assert refused.json()["error"]["message"].startswith("oidc:carol may not create longtasks.longtask.dev")
    assert "www-authenticate" not in refused.headers
    assert (await post(server.url, issuer.token(sub="dave", groups=["team"]))).status_code == 200
    assert (await post(server.url, issuer.token(sub="eve", groups=["system:masters"]))).status_code == 403


async def test_an_issuer_names_nobody_of_the_cluster_or_of_another_issuer(
    world: World, server: Replica, issuer: Issuer, scoped_issuer: Issuer
) -> None:
    account = f"system:serviceaccount:{world.namespace}:alice"
    for token in (issuer.token(sub=account), scoped_issuer.token(sub="oidc:alice"), issuer.token(sub="scoped:alice")):
        assert (await post(server.url, token)).status_code == 403


async def test_a_gateway_speaks_for_the_users_whose_tokens_it_passes_on(
    world: World, server: Replica, gateway_issuer: Issuer
) -> None:
    tokens = {name: gateway_token(gateway_issuer, sub=name) for name in ("user-1", "user-2")}
    started = {name: await start(server.url, token) for name, token in tokens.items()}
    for name, token in tokens.items():
        async with agent(server.url, token) as session:
            for whose, uid in started.items():
                assert (await session.call("check_task_status", task_id=uid)).error == (whose != name)
    spec = (await world.task(started["user-1"])).spec
    assert spec.requester is not None
    assert (spec.requester.principal, spec.requester.actor_id) == ("gateway:client-1", "user-1")
    assert spec.memory is not None
    assert spec.memory.actor_id == "user-1"


async def test_a_trusted_gateway_names_the_conversation_and_no_other_user(
    world: World, server: Replica, gateway_issuer: Issuer
) -> None:
    token = gateway_token(gateway_issuer, sub="user-1")
    spec = (await world.task(await start(server.url, token, {"X-LongTask-Session-Id": "talk-1"}))).spec
    assert spec.memory is not None
    assert (spec.memory.actor_id, spec.memory.session_id) == ("user-1", "talk-1")
    headers = {"X-LongTask-Session-Id": "talk-1", "X-LongTask-Actor-Id": "user-2"}
    refused = await post(server.url, token, **headers)
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        403,
        "the token is user-1's, so it cannot speak for user-2",
    )


async def test_a_gateway_with_its_own_token_acts_for_itself(
    world: World, server: Replica, gateway_issuer: Issuer
) -> None:
    """Client credentials: no user, and at some issuers no sub at all."""
    spec = (await world.task(await start(server.url, gateway_token(gateway_issuer, sub=None)))).spec
    assert spec.requester is not None
    assert (spec.requester.principal, spec.requester.actor_id) == ("gateway:client-1", None)


def the_oldest(issuer: Issuer) -> str:
    return issuer.token(exp=int(time.time()) - 100)


@pytest.mark.parametrize(
    ("make", "status", "reason", "told", "error"),
    [
        (lambda _: None, 401, "Missing", "a bearer token of ", None),
        (lambda _: "rubbish", 401, "Invalid", "the token is not a JWT", "invalid_token"),
        (lambda i: i.token(aud="other"), 401, "WrongAudience", "the token is for another audience", "invalid_token"),
        (lambda i: i.token(aud=None), 401, "WrongAudience", "the token has no aud", "invalid_token"),
        (the_oldest, 401, "Expired", "the token has expired", "invalid_token"),
        (lambda i: i.token({"typ": "logout+jwt"}), 401, "Invalid", "an access token is needed", "invalid_token"),
        (lambda i: i.token()[:-8] + "AAAAAAAA", 401, "BadSignature", "signature is not that of", "invalid_token"),
        (lambda i: i.token({"kid": "no"}), 401, "UnknownKey", "has no key for the token's kid 'no'", "invalid_token"),
        (lambda i: i.token(iss=f"{i.url}/"), 401, "Invalid", "nor is its issuer (iss) one that", "invalid_token"),
    ],
)
async def test_who_is_refused_reads_why_and_where_to_log_in(
    server: Replica,
    issuer: Issuer,
    make: Callable[[Issuer], str | None],
    status: int,
    reason: str,
    told: str,
    error: str | None,
) -> None:
    counter = f'longtask_mcp_auth_refusals_total{{reason="{reason}"}}'
    before = await server.metric(counter)
    token = make(issuer)
    response = await post(server.url, token)
    assert response.status_code == status
    assert told in response.json()["error"]["message"]
    challenge = response.headers["www-authenticate"]
    assert NAMED in challenge
    assert (f'error="{error}"' in challenge) == ("error=" in challenge) == (error is not None)
    assert await server.metric(counter) == before + 1
    assert token is None or token.rpartition(".")[2] not in server.log()


async def test_a_client_logs_in_again_after_any_refusal(server: Replica, issuer: Issuer) -> None:
    for token in (the_oldest(issuer), issuer.token(aud=None), "a.b.c", issuer.token({"alg": "ES256", "kid": "x"})):
        assert (await post(server.url, token)).status_code == 401
        assert (await post(server.url, issuer.token())).status_code == 200


async def test_a_token_that_ends_in_mid_session_is_refused_from_then_on(server: Replica, issuer: Issuer) -> None:
    for seconds in (3, 10, 60):
        token = issuer.token(exp=int(time.time()) + seconds - 30)  # the leeway is 30 s
        if (await post(server.url, token)).status_code == 200:
            break
    else:
        pytest.fail("it was never accepted")

    async def ended() -> bool:
        return (await post(server.url, token)).status_code == 401

    await eventually(ended, "the end of the token")
    assert (await post(server.url, issuer.token())).status_code == 200


async def test_keys_rotate_while_calls_go_on(server: Replica, issuer: Issuer) -> None:
    """Each new key signs from its publication on; all calls are answered."""
    statuses, rotated = list[int](), asyncio.Event()

    async def calls() -> None:
        while not rotated.is_set():
            statuses.append((await post(server.url, issuer.token())).status_code)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(calls())
        for number in range(3):
            issuer.rotate(f"rotated-{number}", keep=True)
            enough = len(statuses) + 6

            async def answered(enough: int = enough) -> bool:
                return len(statuses) >= enough

            await eventually(answered, "answers to calls with the new key")
        rotated.set()
    assert set(statuses) == {200}


async def test_an_issuer_that_is_away_locks_nobody_out_whose_key_is_known(server: Replica, issuer: Issuer) -> None:
    assert (await post(server.url, issuer.token())).status_code == 200
    await issuer.stop()
    try:
        assert (await post(server.url, issuer.token(sub="bob"))).status_code == 200
        unknown = issuer.token({"kid": "away"})

        async def unavailable() -> bool:
            response = await post(server.url, unknown)
            assert response.status_code in (401, 503)  # 401: remembered from before it went
            if response.status_code == 503:
                assert 1 <= int(response.headers["retry-after"]) <= 5
                assert f"the keys of {issuer.url} cannot be read" in response.json()["error"]["message"]
            return response.status_code == 503

        await eventually(unavailable, "503")
        assert await server.metric('longtask_mcp_auth_refusals_total{reason="Unavailable"}') >= 1
        assert 0 <= await server.metric(f'longtask_mcp_issuer_keys_age_seconds{{issuer="{issuer.url}"}}') < 300
    finally:
        await issuer.start()


SUFFIXES = ("", "/", "/mcp", "/mcp/")


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_the_resource_describes_itself_to_everybody(
    server: Replica, issuer: Issuer, gateway_issuer: Issuer, scoped_issuer: Issuer, suffix: str
) -> None:
    url = f"http://127.0.0.1:{server.port}/.well-known/oauth-protected-resource{suffix}"
    response = await server.http.get(url)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {
        "resource": AUDIENCE,
        "resource_name": "LongTask",
        "authorization_servers": [issuer.url, gateway_issuer.url, scoped_issuer.url],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["tasks:cancel", "tasks:read", "tasks:start"],
    }
    assert (await server.http.post(url)).status_code == 404


async def test_without_issuers_nothing_invites_to_log_in(replica: Replica) -> None:
    for suffix in SUFFIXES:
        url = f"http://127.0.0.1:{replica.port}/.well-known/oauth-protected-resource{suffix}"
        assert (await replica.http.get(url)).status_code == 404
    assert "resource_metadata" not in (await post(replica.url, None)).headers["www-authenticate"]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("scope", ["", "tasks:read", "tasks:read tasks:start", "tasks:read tasks:start tasks:cancel"])
async def test_a_scope_is_needed_for_what_it_is_for(
    world: World, server: Replica, scoped_issuer: Issuer, era: str, scope: str
) -> None:
    everything = scoped_issuer.token(scope="tasks:read tasks:start tasks:cancel")
    uid = await start(server.url, everything)
    token = scoped_issuer.token(scope=scope)
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "tasks:read": ("check_task_status", {"task_id": uid}),
        "tasks:start": ("model_training", {"model_name": "outside", "idempotency_key": str(uuid4())}),
        "tasks:cancel": ("cancel_task", {"task_id": uid}),
    }
    before = len(await world.tasks())
    async with agent(server.url, token, era) as session:
        assert "model_training" in await session.tool_names()
        for needed, (tool, arguments) in calls.items():
            if needed in scope.split():
                assert not (await session.call(tool, **arguments)).error
            else:
                with pytest.raises(MCPError, match=f"the token lacks a scope that this needs; get one with .*{needed}"):
                    await session.call(tool, **arguments)
    assert len(await world.tasks()) == before + ("tasks:start" in scope)
    assert (await world.task(uid)).spec.cancel_requested == ("tasks:cancel" in scope)


@pytest.mark.parametrize("era", ERAS)
async def test_a_missing_scope_is_named_as_the_standard_says(
    world: World, server: Replica, scoped_issuer: Issuer, era: str
) -> None:
    """However the name of the tool is written."""
    before = len(await world.tasks())
    token = scoped_issuer.token(scope="tasks:read")
    standard, body = raw_start(era, "scopes")
    text = json.dumps(body)
    assert '"name": "model_training"' in text
    bodies = [
        text,
        text.replace('"name": "model_training"', '"name": "list_tasks", "name": "model_training"'),
        text.replace('"name": "model_training"', '"n\\u0061me": "model_training"'),
        text.replace('"method": "tools/call"', '"method": "tools/list", "method": "tools/call"'),
        "\n" + text,
    ]
    headers = standard | {"Authorization": f"Bearer {token}"}
    for each in bodies:
        response = await server.http.post(server.url, content=each, headers=headers)
        assert response.status_code == 403
        challenge = response.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert 'scope="tasks:read tasks:start"' in challenge
        assert NAMED in challenge
    for each in (
        f"[{text}]",
        text.replace('"name": "model_training"', '"name": "model_training", "name": "list_tasks"'),
    ):
        await server.http.post(server.url, content=each, headers=headers)
    assert len(await world.tasks()) == before
    assert await server.metric('longtask_mcp_auth_refusals_total{reason="InsufficientScope"}') >= len(bodies)


class Storage:
    """What a client keeps of its login."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@pytest.mark.parametrize("after_resource", ["", "/"])
async def test_a_client_that_knows_nothing_but_the_url_logs_in_and_gets_the_scopes_that_it_needs(
    world: World, kubeconfig: Path, after_resource: str
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    async with issuing("/login") as issuer:
        issuer.after_resource = after_resource
        user = f"port-{port}:machine"
        await world.admit(f"machine-{port}", user)
        configured = {"issuer": issuer.url, "audiences": [url], "prefix": f"port-{port}:", "scopes": SCOPES}
        settings = {"port": str(port), "public_url": url, "jwt_issuers": json.dumps([configured])}
        storage = Storage()
        login = ClientCredentialsOAuthProvider(url, storage, "machine", "secret", issuer=issuer.url)
        async with (
            running(kubeconfig, world.namespace, kubeconfig.parent, **settings),
            httpx2.AsyncClient(auth=login, trust_env=False, timeout=70) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            storage.tokens = login.context.current_tokens = OAuthToken(
                access_token=issuer.token(aud=url, sub="machine", scope="tasks:read"), scope="tasks:read"
            )
            reply = await Agent(client).call("model_training", model_name="outside")
        assert issuer.granted_for == [url, url]  # at first, and for the scope
    requester = (await world.task(reply.task_id)).spec.requester
    assert requester is not None
    assert requester.principal == user


@pytest.fixture
async def https(world: World, kubeconfig: Path, tmp_path: Path) -> AsyncIterator[tuple[Replica, str]]:
    """A server with a certificate, and its authority."""
    authority = certificates.write(tmp_path)
    async with running(kubeconfig, world.namespace, kubeconfig.parent, tls_folder=str(tmp_path)) as replica:
        yield replica, authority


async def test_the_server_speaks_https_itself(https: tuple[Replica, str], alice: str) -> None:
    replica, authority = https
    url = replica.url.replace("http:", "https:")
    async with secure_agent(url, alice, ssl.create_default_context(cadata=authority)) as session:
        reply = await session.call("list_tasks")
    assert not reply.error


@asynccontextmanager
async def secure_agent(url: str, token: str, context: ssl.SSLContext) -> AsyncIterator[Agent]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, verify=context, trust_env=False, timeout=70) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield Agent(client)


async def test_a_call_that_is_resumed_needs_the_scope_of_the_call(server: Replica, scoped_issuer: Issuer) -> None:
    def caller(scope: str) -> Raw:
        return Raw(server.http, server.url, {"Authorization": f"Bearer {scoped_issuer.token(scope=scope)}"})

    reads = await caller("tasks:read").id_of("list_tasks")
    starter = caller("tasks:start")
    url, given = server.url, {"Accept": "text/event-stream", "Last-Event-ID": reads, **starter.headers}
    for body in (b"", b'{"method": "ping"}'):
        refused = await server.http.request("GET", url, headers=given, content=body)
        assert (refused.status_code, "tasks:read" in refused.headers["WWW-Authenticate"]) == (403, True)
    assert not (await caller("tasks:read").answer(reads))["isError"]

    arguments = {"model_name": "outside", "idempotency_key": str(uuid4()), "wait_seconds": 1}
    async with starter.call("model_training", **arguments) as events:
        await events.next()
        waits = (await events.next()).id
    assert not (await starter.answer(waits))["isError"]
