"""An upgrade that would leave the task namespace is refused, where the chart can ask what is installed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.chart.conftest import CHART, KUBERNETES, RELEASE, Document, Run


@pytest.fixture(scope="module")
def installed(kubectl: Run) -> Iterator[str]:
    """A namespace that has the Deployment of an operator which works in `lt2-tasks`, and no pod."""
    namespace = f"chart-{uuid4().hex[:8]}"
    labels = {"app": "operator"}
    env: list[Document] = [{"name": "FIRST", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    env += [{"name": "LONGTASK_OPERATOR_NAMESPACE", "value": "lt2-tasks"}]
    containers: list[Document] = [{"name": "sidecar", "image": "x"}, {"name": "operator", "image": "x", "env": env}]
    deployment: Document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{RELEASE}-operator", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": containers},
            },
        },
    }
    with made(kubectl, namespace):
        ran = kubectl("create", "-f", "-", stdin=json.dumps(deployment))
        assert ran.returncode == 0, ran.stdout
        yield namespace


@contextmanager
def made(kubectl: Run, namespace: str) -> Iterator[None]:
    ran = kubectl("create", "namespace", namespace)
    assert ran.returncode == 0, ran.stdout
    try:
        yield
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


def upgrade(helm: Run, namespace: str, *settings: str) -> tuple[int, str]:
    """Renders an upgrade, with what the API server has; how it ended, and what it said."""
    options = [option for setting in settings for option in ("--set", setting)]
    ran = helm("template", RELEASE, str(CHART), "-n", namespace, "--is-upgrade", "--dry-run=server", *options)
    return ran.returncode, ran.stdout


@pytest.mark.parametrize("name", ["longtask-tasks", "lt2", "lt2-tasks2"])
def test_an_upgrade_that_would_leave_the_task_namespace_is_refused(helm: Run, installed: str, name: str) -> None:
    code, said = upgrade(helm, installed, f"taskNamespace.name={name}")
    assert code != 0
    assert f'taskNamespace.name is "{name}", but the installed release works in "lt2-tasks"' in said
    assert "--set taskNamespace.name=lt2-tasks" in said
    assert "--set taskNamespace.moveFrom=lt2-tasks" in said


@pytest.mark.parametrize(
    "settings",
    [
        ["taskNamespace.name=lt2-tasks"],
        ["taskNamespace.name=lt2-tasks", "taskNamespace.moveFrom=before"],
        ["taskNamespace.name=lt2-tasks", "taskNamespace.moveFrom=null"],
        ["taskNamespace.moveFrom=lt2-tasks"],
        ["taskNamespace.moveFrom=lt2-tasks", "taskNamespace.create=false"],
    ],
    ids=["stays", "stays after a move", "values of an older chart", "moves", "moves into one that is there"],
)
def test_an_upgrade_that_stays_or_says_what_it_leaves_is_rendered(
    helm: Run, installed: str, settings: list[str]
) -> None:
    code, said = upgrade(helm, installed, *settings)
    assert code == 0, said


def test_an_upgrade_without_an_operator_is_rendered(helm: Run, kubectl: Run) -> None:
    namespace = f"chart-{uuid4().hex[:8]}"
    with made(kubectl, namespace):
        code, said = upgrade(helm, namespace)
    assert code == 0, said


def test_only_the_leaving_of_a_namespace_that_is_named_is_allowed(helm: Run, installed: str) -> None:
    code, said = upgrade(helm, installed, "taskNamespace.moveFrom=longtask-tasks")
    assert code != 0
    assert 'the installed release works in "lt2-tasks"' in said


@pytest.mark.parametrize("dry", ["client", "server"])
def test_a_first_install_asks_nothing(helm: Run, installed: str, dry: str) -> None:
    ran = helm("template", RELEASE, str(CHART), "-n", installed, f"--dry-run={dry}", "--kube-version", KUBERNETES)
    assert ran.returncode == 0, ran.stdout
