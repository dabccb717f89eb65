"""The key by which the MCP server's replicas go on with each other's calls: made once, kept, or somebody's own."""

import base64
from collections.abc import Callable
from uuid import uuid4

import yaml

from tests.chart.conftest import CHART, RELEASE, Document, Run
from tests.chart.test_task_namespace import made

NAME = "longtask-mcp-resume-keys"
Render = Callable[..., list[Document]]


def rendered(helm: Run, namespace: str, *options: str) -> list[Document]:
    """The manifests, made with what the API server has."""
    ran = helm("template", RELEASE, str(CHART), "-n", namespace, "--dry-run=server", *options)
    assert ran.returncode == 0, ran.stdout
    return [document for document in yaml.safe_load_all(ran.stdout) if document]


def keys(documents: list[Document]) -> list[str]:
    return [
        base64.b64decode(each["data"]["keys"]).decode()
        for each in documents
        if (each["kind"], each["metadata"]["name"]) == ("Secret", NAME)
    ]


def mounted(documents: list[Document]) -> Document:
    """The volume of the keys, which is where the server looks for them."""
    [server] = [
        each for each in documents if (each["kind"], each["metadata"]["name"]) == ("Deployment", "longtask-mcp")
    ]
    pod = server["spec"]["template"]["spec"]
    [container] = pod["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    [mount] = [each for each in container["volumeMounts"] if each["name"] == "resume-keys"]
    assert variables["LONGTASK_MCP_RESUME_KEYS_FILE"] == f"{mount['mountPath']}/keys"
    [volume] = [each for each in pod["volumes"] if each["name"] == "resume-keys"]
    secret: Document = volume["secret"]
    return secret


def test_who_cannot_look_for_the_key_makes_none(render: Render) -> None:
    documents = render()
    assert keys(documents) == []
    assert mounted(documents) == {"secretName": NAME, "optional": True}


def test_the_key_is_made_once_and_kept(helm: Run, kubectl: Run) -> None:
    namespace = f"chart-{uuid4().hex[:8]}"
    assert len(keys(rendered(helm, namespace))[0]) == 64, "before there is a namespace"
    with made(kubectl, namespace):
        [one], [other] = keys(rendered(helm, namespace)), keys(rendered(helm, namespace))
        assert one != other
        ran = kubectl("create", "secret", "generic", NAME, "-n", namespace, f"--from-literal=keys={one} {other}")
        assert ran.returncode == 0, ran.stdout
        assert keys(rendered(helm, namespace)) == [f"{one} {other}"]
        assert keys(rendered(helm, namespace, "--is-upgrade")) == [f"{one} {other}"]


def test_a_secret_of_somebody_elses_is_used_as_it_is(helm: Run, kubectl: Run) -> None:
    documents = rendered(helm, "default", "--set", "mcp.resumeKeys.existingSecret=mine")
    assert keys(documents) == []
    assert mounted(documents) == {"secretName": "mine", "optional": True}
