"""values.yaml: nothing unexplained, nothing unused, nothing misspelt."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from longtask_api import agentcore_ids
from tests.chart.conftest import CHART, KUBERNETES, SYSTEM, Run

TEXT = (CHART / "values.yaml").read_text()
VALUES = yaml.safe_load(TEXT)
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TEMPLATES = "".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
ISSUER = "mcp.authentication.jwt[0]"
FREE = {"global"}  # Helm's own


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and value and "resources" not in path:
            yield from leaves(value, f"{path}.")
        else:
            yield path


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from objects(child, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from objects(schema["items"], f"{path}[]")


@pytest.mark.parametrize("path", list(leaves(VALUES)))
def test_a_template_uses_the_value(path: str) -> None:
    assert re.search(rf"\.Values\.{re.escape(path)}\b", TEMPLATES)


def test_every_value_has_a_sentence() -> None:
    lines = TEXT.splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"^ {0,2}\w+:", line)]
    bare = [lines[number].strip() for number in keys if number == 0 or not lines[number - 1].lstrip().startswith("#")]
    assert bare == []


def test_the_schema_has_the_same_values() -> None:
    def compare(schema: dict[str, Any], values: dict[str, Any], path: str) -> None:
        assert set(schema["properties"]) - FREE == set(values), path
        for name, child in schema["properties"].items():
            if child.get("additionalProperties") is False:
                compare(child, values[name], f"{path}.{name}")

    compare(SCHEMA, VALUES, "")


def test_every_value_of_the_schema_is_described() -> None:
    known = SCHEMA["$defs"]
    bare = [
        path
        for path, node in objects(SCHEMA)
        if "description" not in node | known.get(node.get("$ref", "").removeprefix("#/$defs/"), {}) and "[]" not in path
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("tasknamespace.name=x", "additional properties 'tasknamespace' not allowed"),
        ("image.name=x", "additional properties 'name' not allowed"),
        ("operator.replica=1", "additional properties 'replica' not allowed"),
        ("operator.replicas=0", "minimum"),
        ("mcp.resources.request.cpu=1", "additional properties 'request' not allowed"),
        ("agents[0].name=x", "additional properties 'name' not allowed"),
        ("agents[0].namespace=x", "missing property 'serviceAccount'"),
        ("operator.store.s3.endpoint=x", "additional properties 'endpoint' not allowed"),
        ("operator.store.s3.endpointURL=minio:9000", "does not match pattern"),
        ("operator.store.s3.bucket=My_Bucket", "does not match pattern"),
        ("operator.reports.intervalSeconds=0", "minimum"),
        ("operator.store.maxBytes=1", "minimum"),
        ("memory.memoryID=x", "additional properties 'memoryID' not allowed"),
        ("memory.memoryIds[0]=abc", "does not match pattern"),
        ("memory.memoryIds[0]=mem_abcdefghij", "does not match pattern"),
        ("memory.memoryIds[0]=arn:aws:s3:::results-a1b2c3d4e5", "does not match pattern"),
        ("memory.memoryIds={a-a1b2c3d4e5,a-a1b2c3d4e5}", "are equal"),
        ("memory.defaultMemoryId=@a-a1b2c3d4e5", "does not match pattern"),
        ("memory.region=Frankfurt am Main", "does not match pattern"),
        ("memory.endpointURL=localhost:8080", "does not match pattern"),
        ("operator.deliveryTimeoutSeconds=-1", "minimum"),
        ("operator.openTurnTimeoutSeconds=3601", "maximum"),
        ("mcp.trustedPrincipals[0]=", "minLength"),
        ("notifications.sinks.Ops.url=https://a", "invalid propertyName 'Ops'"),
        ("notifications.sinks.ops.events={failed}", "missing property 'url'"),
        ("notifications.sinks.ops.url=http://a", "missing property 'allowHTTP'"),
        ("notifications.sinks.ops.url=https://user:word@a", "does not match pattern"),
        ("notifications.sinks.ops.url=https://a,notifications.sinks.ops.events={ended}", "value must be one of"),
        ("notifications.sinks.ops.url=https://a,notifications.sinks.ops.secret=x", "properties 'secret' not allowed"),
        ("agents[0].user=oidc:a,agents[0].group=oidc:b", "maxProperties"),
        ("mcp.publicUrl=http://longtask.example.com/mcp", "does not match pattern"),
        (f"{ISSUER}.issuer=http://login.example.com", "does not match pattern"),
        (f"{ISSUER}.issuer=https://login.example.com", "missing property 'audiences'"),
        (f"{ISSUER}.audience=x", "additional properties 'audience' not allowed"),
        (f"{ISSUER}.prefix=system:", "/mcp/authentication/jwt/0/prefix"),
        (f"{ISSUER}.prefix=oidc", "does not match pattern"),
        (f"{ISSUER}.algorithms={{HS256}}", "value must be one of"),
        (f"{ISSUER}.leewaySeconds=301", "maximum"),
        ("mcp.httpRoute.enabled=true", "/mcp/httpRoute/parentRefs"),
        ("image.digest=abc", "does not match pattern"),
        ("image.pullPolicy=Sometimes", "value must be one of"),
        ("logLevel=LOUD", "value must be one of"),
        ("taskNamespace.name=Not_A_Name", "does not match pattern"),
        ("pods.affinity.foo=b", "additional properties 'foo' not allowed"),
        ("mcp.resources.limits.memory=512MB", "does not match pattern"),
        ("operator.resources.requests.cpu=-1", "minimum"),
        ("operator.extraEnv[0].name=A,operator.extraEnv[0].valeu=1", "additional properties 'valeu' not allowed"),
        ("operator.extraEnv[0].name=A,operator.extraEnv[0].value=1", "got number, want string"),
        ("operator.extraEnv[0].name=LONGTASK_OPERATOR_NAMESPACE", "/operator/extraEnv/0/name"),
        (r"pods.labels.app\.kubernetes\.io/name=evil", "invalid propertyName 'app.kubernetes.io/name'"),
        (r"operator.serviceAccount.labels.helm\.sh/chart=evil", "invalid propertyName 'helm.sh/chart'"),
    ],
)
def test_a_value_that_is_none_is_refused_by_name(helm: Run, setting: str, complaint: str) -> None:
    ran = helm("template", str(CHART), "--kube-version", KUBERNETES, "--set", setting)
    assert ran.returncode != 0
    assert complaint in ran.stdout


def test_a_section_that_is_taken_away_is_missed_by_name(helm: Run) -> None:
    sections = [
        path
        for path, node in objects(SCHEMA)
        if path and node.get("additionalProperties") is False and "[]" not in path
    ]
    assert ".operator.store.s3" in sections
    options = [option for path in sections for option in ("--set", f"{path[1:]}=null")]
    for count in range(0, len(options), 2):
        ran = helm("template", str(CHART), "--kube-version", KUBERNETES, *options[count : count + 2])
        assert ran.returncode != 0
        assert f"missing property '{options[count + 1].removesuffix('=null').rpartition('.')[2]}'" in ran.stdout


@pytest.mark.parametrize("quantity", ["0.5", "2", "500m", "512Mi", "1G", "1e9", ".5", "1.5Gi"])
def test_quantities_of_kubernetes_are_taken(helm: Run, quantity: str) -> None:
    setting = f"mcp.resources.limits.memory={quantity}"
    ran = helm("template", str(CHART), "--kube-version", KUBERNETES, "--set", setting)
    assert ran.returncode == 0, ran.stdout


def test_a_bucket_wants_its_region(helm: Run) -> None:
    ran = helm("template", str(CHART), "--kube-version", KUBERNETES, "--set", "operator.store.s3.bucket=results")
    assert ran.returncode != 0
    assert 'operator.store.s3.bucket is "results" and operator.store.s3.region is empty' in ran.stdout


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            "memory.memoryIds={a-a1b2c3d4e5}",
            'memory.memoryIds has "a-a1b2c3d4e5" and memory.region is empty: name the AWS region of the memories',
        ),
        (
            "memory.region=eu-west-1,memory.memoryIds={a-a1b2c3d4e5},memory.defaultMemoryId=b-a1b2c3d4e5",
            'memory.defaultMemoryId is "b-a1b2c3d4e5" and is not one of memory.memoryIds: list it there',
        ),
        ("memory.defaultMemoryId=a-a1b2c3d4e5", "is not one of memory.memoryIds: list it there, written the same way"),
    ],
)
def test_memories_that_cannot_be_used_are_refused_in_a_sentence(helm: Run, settings: str, complaint: str) -> None:
    ran = helm("template", str(CHART), "--kube-version", KUBERNETES, "--set", settings)
    assert ran.returncode != 0
    assert complaint in ran.stdout


@pytest.mark.parametrize(
    ("value", "pattern"),
    [("memoryIds", agentcore_ids.MEMORY_ID_PATTERN), ("defaultMemoryId", f"^$|{agentcore_ids.MEMORY_ID_PATTERN}")],
)
def test_a_memory_is_named_as_tasks_name_it(value: str, pattern: str) -> None:
    schema = SCHEMA["properties"]["memory"]["properties"][value]
    schema = schema.get("items", schema)
    assert schema["pattern"] == pattern
    assert schema["maxLength"] == agentcore_ids.MAX_MEMORY_ID


def test_the_release_may_not_live_where_tasks_do(helm: Run) -> None:
    ran = helm(
        "template", str(CHART), "-n", SYSTEM, "--kube-version", KUBERNETES, "--set", f"taskNamespace.name={SYSTEM}"
    )
    assert ran.returncode != 0
    assert "the namespace of the release itself" in ran.stdout


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (f"{ISSUER}.issuer=https://a.example,{ISSUER}.audiences={{b}}", "mcp.publicUrl is empty"),
        ("mcp.ingress.enabled=true", 'mcp.publicUrl is "": mcp.ingress and mcp.httpRoute need the URL'),
        ("mcp.ingress.enabled=true,mcp.publicUrl=https://a.example/lt/mcp", "its path must be /mcp"),
    ],
)
def test_ways_in_from_outside_need_a_url(helm: Run, settings: str, complaint: str) -> None:
    ran = helm("template", str(CHART), "--kube-version", KUBERNETES, "--set", settings)
    assert ran.returncode != 0
    assert complaint in ran.stdout
