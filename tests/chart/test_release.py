"""The release on a real cluster: it works, and tasks outlive it."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.chart.conftest import CHART, RELEASE, SYSTEM, TASKS, Run
from tests.operator.tasks import GO, TOUCHED
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("release")

TEMPLATE = "chart-test"
INSTANCE = f"app.kubernetes.io/instance={RELEASE}"


def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "longtask.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": TASKS},
        "spec": spec,
    }


@pytest.fixture
def tasks(kubectl: Run, render: Callable[..., list[dict[str, Any]]]) -> Any:
    """A template whose work ends when `file` is there, made from the one of `helm test`; and what cleans up."""
    [example] = [each for each in render() if each["kind"] == "LongTaskTemplate"]
    spec = example["spec"]
    [container] = spec["podTemplate"]["spec"]["containers"]
    container["image"] = image_in_use(kubectl)
    waits = "until [ -e $(LONGTASK_PARAM_FILE) ]; do sleep 0.2; done; echo -n slept > /dev/termination-log"
    container["command"] = ["sh", "-c", waits]
    spec["parametersSchema"] = {"type": "object", "properties": {"file": {"type": "string"}}}
    spec["activeDeadlineSeconds"] = 600
    apply(kubectl, manifest("LongTaskTemplate", TEMPLATE, spec))
    ran = kubectl("wait", "-n", TASKS, "--for=condition=Ready", f"ltt/{TEMPLATE}", f"--timeout={PATIENCE}s")
    assert ran.returncode == 0, ran.stdout
    yield
    kubectl("delete", "-n", TASKS, "lt", "chart-finished", "chart-running", "--ignore-not-found")
    kubectl("delete", "-n", TASKS, "ltt", TEMPLATE)


def image_in_use(kubectl: Run) -> str:
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return kubectl("get", "-n", SYSTEM, "deployment/longtask-mcp", "-o", path).stdout


def apply(kubectl: Run, document: dict[str, Any]) -> None:
    ran = kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document))
    assert ran.returncode == 0, ran.stdout


def start(kubectl: Run, name: str, file: str) -> None:
    spec = {"templateRef": {"name": TEMPLATE}, "parameters": {"file": file}}
    apply(kubectl, manifest("LongTask", name, spec))


def task(kubectl: Run, name: str) -> dict[str, Any]:
    ran = kubectl("get", "-n", TASKS, "lt", name, "-o", "json")
    assert ran.returncode == 0, ran.stdout
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def in_phase(kubectl: Run, name: str, phase: str) -> dict[str, Any]:
    """The task once it is in the phase."""
    deadline = time.monotonic() + PATIENCE
    while (found := task(kubectl, name)).get("status", {}).get("phase") != phase:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_helm_test_runs_a_task_and_leaves_nothing(helm: Run, kubectl: Run) -> None:
    ran = helm("test", RELEASE, "-n", SYSTEM, "--timeout", f"{PATIENCE}s")
    assert ran.returncode == 0, ran.stdout
    assert kubectl("get", "-n", TASKS, "ltt/helm-test").returncode != 0
    assert kubectl("get", "-n", SYSTEM, "pod/longtask-test").returncode != 0


def test_an_upgrade_with_forgotten_values_does_not_leave_the_task_namespace(helm: Run, kubectl: Run) -> None:
    def installed() -> str:
        kinds = "roles,rolebindings,networkpolicies,validatingadmissionpolicybindings"
        rights = kubectl("get", kinds, "-n", TASKS, "-l", INSTANCE, "-o", "name").stdout
        operator = kubectl("get", "-n", SYSTEM, "deployment/longtask-operator", "-o", "jsonpath={.spec}").stdout
        return helm("history", RELEASE, "-n", SYSTEM, "-o", "json").stdout + rights + operator

    before = installed()
    assert "longtask-operator" in before
    ran = helm("upgrade", RELEASE, str(CHART), "-n", SYSTEM, "--set", "taskNamespace.name=chart-elsewhere")
    assert ran.returncode != 0
    assert f'taskNamespace.name is "chart-elsewhere", but the installed release works in "{TASKS}"' in ran.stdout
    assert installed() == before
    assert kubectl("get", "namespace", "chart-elsewhere").returncode != 0


def test_tasks_outlive_upgrade_uninstall_and_reinstall(
    helm: Run, kubectl: Run, install: Callable[..., None], tasks: None
) -> None:
    start(kubectl, "chart-finished", "/")
    finished = in_phase(kubectl, "chart-finished", "Succeeded")
    start(kubectl, "chart-running", GO)
    running = in_phase(kubectl, "chart-running", "Running")

    install(logLevel="DEBUG")
    assert task(kubectl, "chart-finished") == finished
    assert task(kubectl, "chart-running")["status"]["phase"] == "Running"

    ran = helm("uninstall", RELEASE, "-n", SYSTEM, "--wait")
    try:
        assert ran.returncode == 0, ran.stdout
        assert kubectl("get", "-n", SYSTEM, "deployments", "-l", INSTANCE, "-o", "name").stdout == ""
        assert task(kubectl, "chart-finished") == finished
        assert task(kubectl, "chart-running")["status"]["phase"] == "Running"
    finally:
        install()  # other tests need it
    job = running["status"]["jobRef"]["name"]
    assert kubectl("exec", "-n", TASKS, f"job/{job}", "--", "touch", GO).returncode in TOUCHED
    ended = in_phase(kubectl, "chart-running", "Succeeded")
    assert task(kubectl, "chart-finished") == finished
    assert ended["status"]["jobRef"] == running["status"]["jobRef"]
    assert ended["status"]["attemptCount"] == 1
    assert ended["status"]["result"]["text"] == "slept"
