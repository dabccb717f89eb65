"""What the documentation says exists, exists; what it shows, is accepted."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import yaml
from botocore.validate import ParamValidator

from longtask_api.template import LongTaskTemplate
from longtask_mcp.oauth.issuer import Issuer
from longtask_operator.store import s3
from longtask_operator.template_controller import problems_of
from tests.docs.pages import PAGES, ROOT, Block, blocks, headings
from tests.kube import Kube

LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
YAML = blocks("yaml")
MANIFESTS = [block for block in YAML if "apiVersion:" in block.text]
SECTIONS = ("mcp:", "operator:", "jobController:", "memory:", "notifications:")
VALUES = [block for block in YAML if block.text.startswith(SECTIONS)]
PARTS_OF_TEMPLATES = [block for block in YAML if block.text.startswith("spec:")]
PARTS_OF_PODS = [block for block in YAML if block.text.startswith("volumes:")]


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    inside = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    for target in inside:
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in headings(linked), target


@pytest.mark.parametrize("block", blocks("python"), ids=named)
def test_python_is_python(block: Block) -> None:
    compile(block.text, block.page, "exec")


@pytest.mark.parametrize("block", blocks("json"), ids=named)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", [*blocks("sh"), *blocks("bash")], ids=named)
def test_shell_is_shell(block: Block) -> None:
    ran = subprocess.run(["bash", "-n"], input=block.text, check=False, capture_output=True, text=True, timeout=10)
    assert ran.returncode == 0, ran.stderr


def test_every_part_of_yaml_is_looked_at() -> None:
    assert len(YAML) == len([*MANIFESTS, *VALUES, *PARTS_OF_TEMPLATES, *PARTS_OF_PODS])


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shell = "".join(block.text for block in blocks("sh"))
    named = set(re.findall(r"^make ([a-z-]+)", shell, re.MULTILINE))
    named |= {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("block", PARTS_OF_TEMPLATES, ids=named)
def test_a_part_of_a_template_fits_one(block: Block) -> None:
    (whole,) = [
        yaml.safe_load(each.text)
        for each in MANIFESTS
        if each.page == block.page and "kind: LongTaskTemplate" in each.text
    ]
    whole["spec"] |= yaml.safe_load(block.text)["spec"]
    assert problems_of(LongTaskTemplate.from_api(whole)) == []


@pytest.mark.parametrize("block", VALUES, ids=named)
def test_the_chart_takes_values_and_they_change_something(
    render: Callable[..., list[dict[str, Any]]], block: Block
) -> None:
    assert render(yaml.safe_load(block.text)) != render()


def test_issuers_are_configured_as_the_server_reads_them() -> None:
    values = [yaml.safe_load(block.text).get("mcp", {}) for block in VALUES]
    issuers = [each for mcp in values for each in mcp.get("authentication", {}).get("jwt", [])]
    read = [Issuer.model_validate(each) for each in issuers]
    assert len(read) == 3
    for issuer in read:
        identity_provider = urlsplit(issuer.issuer).hostname or ""
        assert identity_provider.startswith(("sso.", "cognito-idp.", "login.microsoftonline."))


def test_the_rights_for_the_bucket_are_those_that_the_store_needs() -> None:
    (block,) = blocks("json", "iam")
    granted = {
        action
        for statement in json.loads(block.text)["Statement"]
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    }
    assert granted == set(re.findall(r"s3:\w+", s3.__doc__ or ""))


def test_the_lifecycle_rule_is_one() -> None:
    (block,) = blocks("json", "lifecycle")
    client = boto3.session.Session().client("s3", region_name="eu-central-1")
    shape = client.meta.service_model.operation_model("PutBucketLifecycleConfiguration").input_shape
    assert shape is not None
    arguments = {"Bucket": "longtask-results", "LifecycleConfiguration": json.loads(block.text)}
    assert not ParamValidator().validate(arguments, shape).has_errors()


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("block", MANIFESTS, ids=named)
def test_the_api_server_takes_every_manifest(block: Block, namespace: Kube) -> None:
    for document in yaml.safe_load_all(block.text):
        _dry_run(document, namespace)


@pytest.mark.cluster
@pytest.mark.parametrize("block", PARTS_OF_PODS, ids=named)
def test_the_api_server_takes_every_part_of_a_pod(block: Block, cluster: Kube) -> None:
    spec = yaml.safe_load(block.text) | {"containers": [{"name": "main", "image": "registry.example/agent:1"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "documented"}, "spec": spec}
    _dry_run(pod, cluster.within("default"))


def _dry_run(document: dict[str, Any], namespace: Kube) -> None:
    """In the namespace of the tests: the document's own may not be there."""
    document["metadata"].pop("namespace", None)
    applied = subprocess.run(
        ["kubectl", "apply", "-n", namespace.namespace, "--dry-run=server", "--validate=strict", "-f", "-"],
        input=yaml.safe_dump(document),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert applied.returncode == 0, applied.stderr
