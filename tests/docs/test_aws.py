"""What the page about AWS shows is what the code calls, what the chart makes, and what AWS's own models have."""

import json
import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import boto3
import botocore.session
import pytest
from botocore import xform_name

from longtask_api import constants
from longtask_operator.agentcore import client
from longtask_operator.agentcore.models import Session
from longtask_operator.delivery import dispatcher
from tests.api.objects import MEMORY, TOLD, condition, task
from tests.docs.pages import ROOT, Block, blocks
from tests.kube import Kube

PAGE: Final = "docs/aws.md"
TEXT: Final = (ROOT / PAGE).read_text()
POLICIES = blocks("json", "memory", PAGE)
TRUST = blocks("json", "trust", PAGE)
REGION: Final = "eu-central-1"
CONDITION_KEYS: Final = {
    "CreateEvent": {"actorId", "sessionId"},
    "ListEvents": {"actorId", "sessionId"},
    "ListSessions": {"actorId"},
    "BatchCreateMemoryRecords": {"namespace"},
}
"""That an action has, by AWS's service authorization reference; a condition on another one never holds."""


def statements(block: Block) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(block.text)["Statement"]
    return found


def actions(statement: dict[str, Any]) -> list[str]:
    """Without the service's prefix."""
    found = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    return [each.removeprefix("bedrock-agentcore:") for each in found]


def called() -> set[str]:
    """The operations that the operator calls."""
    operations = boto3.session.Session().client("bedrock-agentcore", region_name=REGION).meta.method_to_api_mapping
    words = set(re.findall(r'"(\w+)"', Path(client.__file__).read_text()))
    return {operations[each] for each in words & operations.keys()}


@pytest.mark.parametrize("block", POLICIES, ids=lambda block: f"line {block.line}")
def test_a_policy_grants_what_the_operator_calls_and_nothing_else(block: Block) -> None:
    granted = [action for statement in statements(block) for action in actions(statement)]
    assert sorted(granted) == sorted(called())


def test_policies_are_shown() -> None:
    assert len(POLICIES) == len(TRUST) == 2


@pytest.mark.parametrize("block", POLICIES, ids=lambda block: f"line {block.line}")
def test_a_condition_is_on_a_key_that_the_action_has(block: Block) -> None:
    for statement in statements(block):
        keys = {key for test in statement.get("Condition", {}).values() for key in test}
        for action in actions(statement):
            assert keys <= {f"bedrock-agentcore:{key}" for key in CONDITION_KEYS[action]}


def test_the_namespace_is_the_one_that_is_written_to() -> None:
    for actor_id in ("{actorId}", "<actorId>", "system:serviceaccount:agents:*"):
        assert dispatcher.NAMESPACE.format(actor_id=actor_id) in TEXT


def test_roles_trust_the_operator_s_account_alone(render: Callable[..., list[dict[str, Any]]]) -> None:
    [deployment] = [
        each
        for each in render()
        if each["kind"] == "Deployment" and each["metadata"]["labels"]["app.kubernetes.io/component"] == "operator"
    ]
    namespace = deployment["metadata"]["namespace"]
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    by_token, by_association = ([*statements(block)[0]["Condition"]["StringEquals"].values()] for block in TRUST)
    assert by_token == [f"system:serviceaccount:{namespace}:{account}", "sts.amazonaws.com"]
    assert by_association == [namespace, account]
    assert f"--namespace {namespace}" in TEXT
    assert f"--service-account {account}" in TEXT


WAITERS: Final = {"memory-created": "get-memory"}
"""What is called to see whether it has happened."""


def aws_commands() -> list[list[str]]:
    shell = "".join(block.text for block in blocks("sh", page=PAGE)).replace("\\\n", " ")
    return [shlex.split(line) for line in shell.splitlines() if line.startswith("aws ")]


@pytest.mark.parametrize("words", aws_commands(), ids=lambda words: " ".join(words[1:3]))
def test_a_command_is_one_of_the_service_s_operations(words: list[str]) -> None:
    _, service, verb, *rest = words
    made = boto3.session.Session().client(service, region_name=REGION)  # type: ignore[call-overload]
    operations = {xform_name(each, "-"): each for each in made.meta.method_to_api_mapping.values()}
    if verb == "wait":
        waiter, *rest = rest
        verb = WAITERS[waiter]
        assert waiter.replace("-", "_") in made.waiter_names
    shape = made.meta.service_model.operation_model(operations[verb]).input_shape
    members = {f"--{xform_name(each, '-')}" for each in shape.members}
    given = {each for each in rest if each.startswith("--")} - {"--region"}
    assert given <= members
    assert {f"--{xform_name(each, '-')}" for each in shape.required_members} <= given


def test_how_long_events_may_be_kept_fits_the_service() -> None:
    shape = botocore.session.get_session().get_service_model("bedrock-agentcore-control").shape_for("CreateMemoryInput")
    limits = shape.members["eventExpiryDuration"].metadata  # type: ignore[attr-defined]
    [days] = re.findall(r"--event-expiry-duration (\d+)", TEXT)
    assert limits["min"] <= 7 <= int(days) <= 365 <= limits["max"]


@dataclass
class StandIns:
    """The Pod Identity agent, STS and the memory's service on one loopback port, and what they were asked."""

    url: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path, and the header Authorization or the body of a call of STS."""


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIns]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, self.headers["Authorization"]))
            expires = datetime.now(UTC) + timedelta(hours=1)
            keys = {"AccessKeyId": "POD", "SecretAccessKey": "s", "Token": "t", "Expiration": expires.isoformat()}
            self.answer(json.dumps(keys))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self.path == "/":
                found.asked.append((self.path, body))
                keys = {"AccessKeyId": "IRSA", "SecretAccessKey": "s", "SessionToken": "t"}
                keys["Expiration"] = "2100-01-01T00:00:00Z"
                text = "".join(f"<{name}>{value}</{name}>" for name, value in keys.items())
                for name in ("Credentials", "AssumeRoleWithWebIdentityResult", "AssumeRoleWithWebIdentityResponse"):
                    text = f"<{name}>{text}</{name}>"
                self.answer(text)
            else:
                found.asked.append((self.path, self.headers["Authorization"]))
                self.answer('{"events": []}')

        def answer(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_request(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = StandIns(f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", found.url)
    (tmp_path / "token").write_text("token-of-the-pod")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


async def ask() -> None:
    """What the operator does first for a session, with credentials from wherever boto3 finds some."""
    service = client.AgentCore(REGION)
    assert [page async for page in service.events(Session("a-a1b2c3d4e5", "ann", "monday-1"))] == [[]]
    service.close()


async def test_the_operator_uses_what_pod_identity_puts_into_its_pod(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{stand_ins.url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    await ask()
    agent, call = stand_ins.asked
    assert agent == ("/v1/credentials", "token-of-the-pod")
    assert f"Credential=POD/{datetime.now(UTC):%Y%m%d}/{REGION}/bedrock-agentcore/" in call[1]


async def test_the_operator_uses_what_irsa_puts_into_its_pod(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/longtask")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", stand_ins.url)
    await ask()
    sts, call = stand_ins.asked
    assert "WebIdentityToken=token-of-the-pod" in sts[1]
    assert f"Credential=IRSA/{datetime.now(UTC):%Y%m%d}/{REGION}/bedrock-agentcore/" in call[1]


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_who_is_on_call_sees_why_a_session_was_not_told(namespace: Kube) -> None:
    denied = condition("Delivered", "False", "AccessDenied", "not authorized; next call at 2026-03-01T10:22:05Z")
    status = TOLD | {"conditions": [denied], "delivery": TOLD["delivery"] | {"failures": 7}}
    created = namespace.create(namespace.path(constants.TASK_PLURAL), task("untold", {"memory": MEMORY})).done()
    path = namespace.path(constants.TASK_PLURAL, "untold", "status")
    namespace.request("PUT", path, created | {"status": status}).done()
    (block,) = [each for each in blocks("sh", "cluster", "docs/troubleshooting.md") if "Delivered" in each.text]
    commands = block.text.replace("longtask-tasks", namespace.namespace).replace("NAME", "untold")
    ran = subprocess.run(["bash", "-euc", commands], check=False, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert '"reason":"AccessDenied"' in ran.stdout
    assert '"failures":7' in ran.stdout
