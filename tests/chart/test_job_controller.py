"""In the task namespace nobody but the Job controller makes a pod that belongs to a Job, or comes to."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from tests.chart.conftest import JOB_CONTROLLER, TASKS, Document, Run
from tests.chart.test_release import image_in_use
from tests.patience import PATIENCE

UID: Final = "11111111-2222-4333-8444-555555555555"
OWNER: Final = {"apiVersion": "batch/v1", "kind": "Job", "name": "victim", "uid": UID, "controller": True}
REPLICA_SET: Final = OWNER | {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
CONTROLLER_UID, TASK_UID = "batch.kubernetes.io/controller-uid", "longtask.dev/task-uid"
REFUSED: Final = "may not make a pod that belongs to a Job: only the Job controller may"
SIGNS: Final[dict[str, Document]] = {
    "an owner that is a Job": {"ownerReferences": [OWNER]},
    "such an owner that does not control it": {"ownerReferences": [OWNER | {"controller": False}]},
    "such an owner beside another": {"ownerReferences": [REPLICA_SET | {"controller": False}, OWNER]},
    "the label by which a Job adopts": {"labels": {CONTROLLER_UID: UID}},
    "the label by which the operator looks": {"labels": {TASK_UID: UID}},
}
ADMINISTRATOR: Final = ""
GARBAGE_COLLECTOR: Final = "system:serviceaccount:kube-system:generic-garbage-collector"


@pytest.fixture(scope="module")
def container(kubectl: Run, render: Callable[..., list[Document]], release: None) -> Document:
    """One that Pod Security admits, and that ends at once."""
    [template] = [each for each in render() if each["kind"] == "LongTaskTemplate"]
    [found] = template["spec"]["podTemplate"]["spec"]["containers"]
    return {**found, "image": image_in_use(kubectl), "command": ["true"]}


@pytest.fixture(scope="module")
def pod_spec(render: Callable[..., list[Document]], container: Document) -> Document:
    """Of a pod that no node takes."""
    [template] = [each for each in render() if each["kind"] == "LongTaskTemplate"]
    security = template["spec"]["podTemplate"]["spec"]["securityContext"]
    return {"securityContext": security, "containers": [container], "nodeSelector": {"chart-test": "nowhere"}}


@pytest.fixture(scope="module", autouse=True)
def in_force(kubectl: Run, pod_spec: Document) -> None:
    """The API server holds to a policy a moment after it was made."""
    deadline = time.monotonic() + PATIENCE
    while REFUSED not in (answer := create(kubectl, pod_spec, SIGNS["an owner that is a Job"])):
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)


@pytest.fixture(scope="module")
def bare(kubectl: Run, pod_spec: Document, in_force: None) -> Iterator[str]:
    """A pod that belongs to nobody."""
    name = "chart-bare"
    ran = kubectl("apply", "-n", TASKS, "-f", "-", stdin=yaml.safe_dump(pod(pod_spec, {"name": name})))
    assert ran.returncode == 0, ran.stdout
    yield name
    kubectl("delete", "-n", TASKS, "pod", name, "--wait=false")


@pytest.fixture(scope="module")
def jobs_pod(kubectl: Run, pod_spec: Document, in_force: None) -> Iterator[Document]:
    """The pod of a real Job that has ended."""
    spec = {key: value for key, value in pod_spec.items() if key != "nodeSelector"} | {"restartPolicy": "Never"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "chart-job"},
        "spec": {"template": {"metadata": {"labels": {TASK_UID: UID}}, "spec": spec}},
    }
    ran = kubectl("apply", "-n", TASKS, "-f", "-", stdin=yaml.safe_dump(job))
    assert ran.returncode == 0, ran.stdout
    ran = kubectl("wait", "-n", TASKS, "--for=condition=Complete", "job/chart-job", f"--timeout={PATIENCE}s")
    assert ran.returncode == 0, ran.stdout
    [found] = json.loads(kubectl("get", "pods", "-n", TASKS, "-l", "job-name=chart-job", "-o", "json").stdout)["items"]
    yield found
    kubectl("delete", "-n", TASKS, "job", "chart-job", "--wait=false")


def pod(spec: Document, metadata: Document) -> Document:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "chart-stranger"} | metadata, "spec": spec}


def as_(account: str) -> tuple[str, ...]:
    # The group gives every right there is, so that the policy alone is asked.
    return ("--as", account, "--as-group", "system:masters") if account else ()


def create(kubectl: Run, spec: Document, metadata: Document, account: str = "", namespace: str = TASKS) -> str:
    """Try to create such a pod; what the API server answered."""
    document = yaml.safe_dump(pod(spec, metadata))
    return kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", *as_(account), stdin=document).stdout


def patch(kubectl: Run, name: str, metadata: Document, account: str = "") -> str:
    """Try to change the pod's metadata; what the API server answered."""
    change = json.dumps({"metadata": metadata})
    command = ("patch", "-n", TASKS, "pod", name, "--type=merge", "--dry-run=server", "-o", "name", "-p", change)
    return kubectl(*command, *as_(account)).stdout


@pytest.mark.parametrize("account", [ADMINISTRATOR, "system:serviceaccount:longtask-system:longtask-operator"])
@pytest.mark.parametrize("sign", SIGNS)
def test_a_pod_made_by_hand_is_refused(kubectl: Run, pod_spec: Document, sign: str, account: str) -> None:
    assert REFUSED in create(kubectl, pod_spec, SIGNS[sign], account)


@pytest.mark.parametrize("sign", SIGNS)
def test_a_pod_does_not_come_to_belong_to_a_job(kubectl: Run, bare: str, sign: str) -> None:
    assert REFUSED in patch(kubectl, bare, SIGNS[sign])


@pytest.mark.parametrize(
    "metadata",
    [
        {"ownerReferences": [REPLICA_SET]},
        {"ownerReferences": [OWNER | {"apiVersion": "example.com/v1"}]},
        {"labels": {"job-name": "victim"}},
        {},
    ],
)
def test_a_pod_that_belongs_to_no_job_is_anybodys_to_create(
    kubectl: Run, pod_spec: Document, metadata: Document
) -> None:
    assert "created (server dry run)" in create(kubectl, pod_spec, metadata)


@pytest.mark.parametrize("account", ["system:serviceaccount:kube-system:job-controller", JOB_CONTROLLER])
@pytest.mark.parametrize("sign", SIGNS)
def test_the_job_controller_makes_and_adopts_pods(
    kubectl: Run, pod_spec: Document, bare: str, sign: str, account: str
) -> None:
    assert "created (server dry run)" in create(kubectl, pod_spec, SIGNS[sign], account)
    assert patch(kubectl, bare, SIGNS[sign], account).strip() == f"pod/{bare}"


def test_a_real_job_runs_to_its_end(jobs_pod: Document) -> None:
    """The Job controller made its pod and took its finalizer off, kubelet wrote its status."""
    assert jobs_pod["status"]["phase"] == "Succeeded"
    assert jobs_pod["metadata"]["ownerReferences"][0]["name"] == "chart-job"
    assert "finalizers" not in jobs_pod["metadata"]


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: metadata["ownerReferences"].append(OWNER | {"controller": False}),
        lambda metadata: metadata.update(ownerReferences=[OWNER]),
        lambda metadata: metadata["labels"].update({CONTROLLER_UID: "other"}),
        lambda metadata: metadata["labels"].update({TASK_UID: "other"}),
    ],
    ids=["a second Job", "another Job", "another Job's label", "another task's label"],
)
def test_a_jobs_pod_comes_to_belong_to_no_other(
    kubectl: Run, jobs_pod: Document, change: Callable[[Any], None]
) -> None:
    metadata = copy.deepcopy(jobs_pod["metadata"])
    change(metadata)

    assert REFUSED in patch(kubectl, metadata["name"], metadata)


@pytest.mark.parametrize(
    ("account", "change"),
    [
        (ADMINISTRATOR, lambda metadata: metadata["labels"].update(team="research")),
        (ADMINISTRATOR, lambda metadata: metadata.update(finalizers=["example.com/keep"])),
        (ADMINISTRATOR, lambda metadata: metadata.update(ownerReferences=None)),
        (GARBAGE_COLLECTOR, lambda metadata: metadata["ownerReferences"][0].update(blockOwnerDeletion=False)),
    ],
    ids=["a label", "a finalizer", "orphaned", "its Job's deletion no longer blocked"],
)
def test_other_changes_of_a_jobs_pod_go_through(
    kubectl: Run, jobs_pod: Document, account: str, change: Callable[[Any], None]
) -> None:
    metadata = copy.deepcopy(jobs_pod["metadata"])
    change(metadata)

    assert patch(kubectl, metadata["name"], metadata, account).strip() == f"pod/{metadata['name']}"


def test_other_namespaces_are_left_alone(kubectl: Run, pod_spec: Document) -> None:
    assert "created (server dry run)" in create(kubectl, pod_spec, {"ownerReferences": [OWNER]}, namespace="default")
