"""What each account of the release may do: exactly this."""

import json
from typing import Any

import pytest

from tests.chart.conftest import SYSTEM, TASKS, Run

READ = ("get", "list", "watch")
REVIEWS = {"tokenreviews.authentication.k8s.io": ("create",)}
OPERATOR = {
    "longtasks.longtask.dev": (*READ, "delete"),
    "longtasks/status.longtask.dev": ("patch",),
    "longtasks/finalizers.longtask.dev": ("update",),
    "longtasktemplates.longtask.dev": READ,
    "longtasktemplates/status.longtask.dev": ("patch",),
    "jobs.batch": (*READ, "create", "patch", "delete"),
    "pods": (*READ, "create", "patch", "delete"),
    "pods/log": ("get",),
    "events": ("create", "list"),
    "configmaps": ("get", "create", "update", "delete"),
    "pods.metrics.k8s.io": ("get",),
    **REVIEWS,
}
LEASES = {"leases.coordination.k8s.io": ("create",), "leases.coordination.k8s.io longtask-operator": ("get", "update")}
LEASE = {"leases.coordination.k8s.io longtask-operator": ("get",)}
MCP_REVIEWS = {**REVIEWS, "subjectaccessreviews.authorization.k8s.io": ("create",)}
MCP_RIGHTS = {
    "longtasks.longtask.dev": (*READ, "create", "patch"),
    "longtasktemplates.longtask.dev": READ,
    **MCP_REVIEWS,
}

pytestmark = pytest.mark.usefixtures("release")


def rights(kubectl: Run, account: str, namespace: str) -> set[tuple[str, str]]:
    """Pairs of a resource and a verb that the account may use there."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    ran = kubectl("create", "-o", "json", "--validate=false", "-f", "-", "--as", account, stdin=json.dumps(review))
    found: list[dict[str, Any]] = json.loads(ran.stdout)["status"]["resourceRules"]
    return {
        (" ".join([f"{resource}.{group}".rstrip("."), *rule.get("resourceNames", [])]), verb)
        for rule in found
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize(
    ("account", "namespace", "expected"),
    [
        (f"{SYSTEM}:longtask-operator", TASKS, OPERATOR),
        (f"{SYSTEM}:longtask-operator", SYSTEM, {**LEASES, **REVIEWS}),
        (f"{SYSTEM}:longtask-operator", "default", REVIEWS),
        (f"{SYSTEM}:longtask-mcp", TASKS, MCP_RIGHTS),
        (f"{SYSTEM}:longtask-mcp", SYSTEM, {**LEASE, **MCP_REVIEWS}),
        (f"{SYSTEM}:longtask-mcp", "default", MCP_REVIEWS),
        ("agents:researcher", TASKS, {"longtasks.longtask.dev": ("create",)}),
        ("agents:researcher", SYSTEM, {}),
    ],
)
def test_an_account_may_do_this_and_nothing_else(
    kubectl: Run, account: str, namespace: str, expected: dict[str, tuple[str, ...]]
) -> None:
    everybody = rights(kubectl, "system:serviceaccount:default:nobody", namespace)
    found = rights(kubectl, f"system:serviceaccount:{account}", namespace) - everybody
    assert found == {(resource, verb) for resource, verbs in expected.items() for verb in verbs}
