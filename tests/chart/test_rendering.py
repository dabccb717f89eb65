"""The manifests, without a cluster."""

from collections.abc import Callable

import pytest

from longtask_api import crd
from tests.chart.conftest import CHART, Document, Run

Render = Callable[..., list[Document]]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def test_lint_has_nothing_to_say(helm: Run) -> None:
    ran = helm("lint", "--strict", str(CHART))
    assert ran.returncode == 0, ran.stdout
    assert "[WARNING]" not in ran.stdout


def test_the_crds_are_those_of_the_models_and_stay_on_uninstall(render: Render) -> None:
    rendered = {document["metadata"]["name"]: document for document in of_kind(render(), "CustomResourceDefinition")}
    for made in (crd.task_crd(), crd.template_crd()):
        document = rendered.pop(made["metadata"]["name"])
        assert document["spec"] == made["spec"]
        assert document["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert rendered == {}


def test_the_crds_can_be_left_out(render: Render) -> None:
    assert of_kind(render({"crds": {"install": False}}), "CustomResourceDefinition") == []


def test_the_task_namespace_stays_on_uninstall_and_enforces_pod_security(render: Render) -> None:
    [namespace] = of_kind(render(), "Namespace")
    assert namespace["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_task_namespace_can_be_somebody_elses(render: Render) -> None:
    assert of_kind(render({"taskNamespace": {"name": "research", "create": False}}), "Namespace") == []


def test_cluster_scoped_objects_carry_the_releases_namespace(render: Render) -> None:
    kinds = ("ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    named = [document["metadata"]["name"] for document in of_kind(render(), *kinds)]
    assert len(named) == 6
    assert all(name.endswith(".longtask-system") for name in named)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "localhost/longtask:0.1.0"),
        ({"tag": "dev"}, "localhost/longtask:dev"),
        ({"tag": "dev", "digest": f"sha256:{'a' * 64}"}, f"localhost/longtask@sha256:{'a' * 64}"),
    ],
)
def test_a_digest_wins_over_a_tag(render: Render, image: dict[str, str], expected: str) -> None:
    deployments = of_kind(render({"image": image}), "Deployment")
    images = {each["image"] for document in deployments for each in document["spec"]["template"]["spec"]["containers"]}
    assert images == {expected}


def test_what_is_set_for_pods_reaches_both_servers(render: Render) -> None:
    pods = {
        "annotations": {"a": "1"},
        "labels": {"l": "1"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
    }
    for document in of_kind(render({"pods": pods, "image": {"pullSecrets": ["registry"]}}), "Deployment"):
        template = document["spec"]["template"]
        assert template["metadata"]["annotations"] == {"a": "1"}
        assert template["metadata"]["labels"]["l"] == "1"
        for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
            assert template["spec"][name] == pods[name]
        assert template["spec"]["imagePullSecrets"] == [{"name": "registry"}]


def test_extra_variables_come_last_and_so_win(render: Render) -> None:
    extra = [{"name": "LONGTASK_MCP_DRAIN_SECONDS", "value": "1"}]
    [mcp] = [
        each
        for each in of_kind(render({"mcp": {"extraEnv": extra}}), "Deployment")
        if "mcp" in each["metadata"]["name"]
    ]
    assert mcp["spec"]["template"]["spec"]["containers"][0]["env"][-1:] == extra


def test_metrics_are_found_by_a_pod_monitor_when_asked_for(render: Render) -> None:
    assert of_kind(render(), "PodMonitor") == []
    [monitor] = of_kind(render({"podMonitor": {"enabled": True, "labels": {"team": "ml"}}}), "PodMonitor")
    assert monitor["metadata"]["labels"]["team"] == "ml"


def test_nobody_opens_a_connection_to_a_tasks_pod(render: Render) -> None:
    [policy] = [
        each for each in of_kind(render(), "NetworkPolicy") if each["metadata"]["namespace"] == "longtask-tasks"
    ]
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_network_policies_can_be_left_out(render: Render) -> None:
    assert of_kind(render({"networkPolicy": {"enabled": False}}), "NetworkPolicy") == []
