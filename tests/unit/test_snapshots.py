"""Reading Jobs and pods as the API server gives them."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from longtask_api import constants
from longtask_api.longtask import LongTaskStatus
from longtask_operator.planning.done import decisive_pod
from longtask_operator.planning.pod_selection import end_is_seen, working_pod
from longtask_operator.planning.snapshots import (
    JobSnapshot,
    PodEvent,
    PodSnapshot,
    Termination,
    controller_uid,
    job_snapshot,
    pod_event,
    pod_snapshot,
    pod_usage,
    task_of_job,
    with_earlier_facts,
)
from tests.unit.given import JOB_UID, SNAPSHOT, TASK_UID, container, ended_pod, failed_init, job, pod, running_pod

LABELS = {
    "app.kubernetes.io/managed-by": "longtask",
    "batch.kubernetes.io/controller-uid": JOB_UID,
    "longtask.dev/task": "training-1",
    "longtask.dev/task-uid": TASK_UID,
}
JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "name": "training-1-8f3c2a1b",
        "namespace": "tasks",
        "uid": JOB_UID,
        "resourceVersion": "4711",
        "generation": 1,
        "creationTimestamp": "2026-03-01T10:00:00Z",
        "labels": LABELS,
        "annotations": {constants.ANNOTATION_SNAPSHOT: SNAPSHOT.model_dump_json(exclude_none=True)},
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "not-the-controller"},
            {
                "apiVersion": "longtask.dev/v1alpha1",
                "kind": "LongTask",
                "name": "training-1",
                "uid": TASK_UID,
                "controller": True,
                "blockOwnerDeletion": True,
            },
        ],
    },
    "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 3, "suspend": False, "podReplacementPolicy": "Failed"},
    "status": {
        "startTime": "2026-03-01T10:00:00Z",
        "active": 1,
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
    },
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "pod-a",
        "uid": "uid-a",
        "resourceVersion": "4712",
        "creationTimestamp": "2026-03-01T10:00:01Z",
        "labels": LABELS,
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "x", "uid": JOB_UID, "controller": True}],
        "finalizers": ["batch.kubernetes.io/job-tracking"],
    },
    "spec": {
        "nodeName": "node-1",
        "restartPolicy": "Never",
        "containers": [
            {"name": "main", "image": "training:1", "resources": {"limits": {"memory": "2Gi"}}},
            {"name": "sidecar", "image": "sidecar:1", "resources": {}},
        ],
    },
    "status": {
        "phase": "Running",
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-03-01T10:00:01Z"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-03-01T10:00:02Z"},
        ],
        "containerStatuses": [
            {"name": "sidecar", "state": {"running": {"startedAt": "2026-03-01T10:00:09Z"}}},
            {"name": "main", "state": {"running": {"startedAt": "2026-03-01T10:00:02Z"}}},
        ],
    },
}


def _time(second: int) -> datetime:
    return datetime(2026, 3, 1, 10, 0, second, tzinfo=UTC)


def _condition(type_: str, status: str = "True", **fields: str) -> dict[str, str]:
    return {"type": type_, "status": status, "lastTransitionTime": "2026-03-01T10:00:30Z"} | fields


def _job(part: str = "status", **fields: Any) -> JobSnapshot:
    document = deepcopy(JOB)
    document[part] |= fields
    return job_snapshot(document)


def _pod(part: str = "status", **fields: Any) -> PodSnapshot:
    document = deepcopy(POD)
    document[part] |= fields
    return pod_snapshot(document)


def _with_state(state: dict[str, Any], **fields: Any) -> PodSnapshot:
    return _pod(containerStatuses=[{"name": "main", "state": state}], **fields)


def test_a_job_at_work() -> None:
    assert job_snapshot(JOB) == job(resource_version=4711)


def test_a_pod_at_work() -> None:
    sidecar = container("sidecar", "beside", running_since=_time(9))
    assert pod_snapshot(POD) == running_pod(resource_version=4712, memory_limit="2Gi", others=(sidecar,))


def _shaped(**spec: Any) -> PodSnapshot:
    statuses = {
        "initContainerStatuses": [
            {"name": "fetch", "state": {"terminated": {"exitCode": 0, "startedAt": "2026-03-01T10:00:01Z"}}},
            {"name": "proxy", "state": {"terminated": {"exitCode": 137, "reason": "Error"}}},
        ],
        "containerStatuses": [
            {"name": "mesh", "state": {"terminated": {"exitCode": 0, "message": "proxy leaves"}}},
            {"name": "main", "state": {"terminated": {"exitCode": 3, "message": "disk full"}}},
        ],
    }
    containers = [{"name": "mesh"}, {"name": "main", "resources": {"limits": {"memory": "1Gi"}}}]
    init = [{"name": "fetch"}, {"name": "proxy", "restartPolicy": "Always"}]
    document = deepcopy(POD)
    document["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "main"}
    document["spec"] |= {"containers": containers, "initContainers": init} | spec
    document["status"] |= {"phase": "Failed"} | statuses
    return pod_snapshot(document)


def test_the_work_is_the_first_container_of_the_template_wherever_it_stands() -> None:
    view = _shaped()
    assert (view.container, view.memory_limit) == ("main", "1Gi")
    assert view.termination is not None
    assert (view.termination.exit_code, view.termination.message) == (3, "disk full")
    assert [(each.name, each.kind) for each in view.others] == [
        ("fetch", "init"),
        ("proxy", "sidecar"),
        ("mesh", "beside"),
    ]


def test_a_native_sidecar_is_no_init_container_that_failed() -> None:
    assert _shaped().failed_init is None


@pytest.mark.parametrize("name", ["", "of-nobody"])
def test_without_the_name_of_a_container_of_its_own_the_first_one_works(name: str) -> None:
    document = deepcopy(POD)
    document["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": name}
    assert pod_snapshot(document).container == "main"


@pytest.mark.parametrize(
    ("spec", "limit"),
    [
        ({"containers": [{"name": "main"}], "initContainers": []}, 4096),
        ({"containers": [{"name": "main"}]}, 4096),
        ({}, 3072),
        ({"ephemeralContainers": [{"name": "debugger"}]}, 2457),
        ({"containers": [{"name": f"c{n}"} for n in range(4)]}, 2048),
    ],
)
def test_the_containers_of_a_pod_share_what_their_messages_may_have(spec: dict[str, Any], limit: int) -> None:
    assert _shaped(**spec).message_limit == limit


@pytest.mark.parametrize(
    ("metadata", "conditions", "asked"),
    [
        ({}, [], None),
        ({"deletionTimestamp": "2026-03-01T10:00:30Z", "deletionGracePeriodSeconds": 20}, [], 10),
        ({"deletionTimestamp": "2026-03-01T10:00:30Z"}, [], 30),
        ({}, [_condition("DisruptionTarget", reason="EvictionByEvictionAPI")], 30),
        (
            {"deletionTimestamp": "2026-03-01T10:00:30Z", "deletionGracePeriodSeconds": 20},
            [_condition("DisruptionTarget", reason="EvictionByEvictionAPI")],
            10,
        ),
        ({}, [_condition("DisruptionTarget", "False", reason="EvictionByEvictionAPI")], None),
    ],
)
def test_when_a_pod_was_asked_to_go(metadata: dict[str, Any], conditions: list[Any], asked: int | None) -> None:
    document = deepcopy(POD)
    document["metadata"] |= metadata
    document["status"]["conditions"] = conditions
    assert pod_snapshot(document).asked_to_go == (None if asked is None else _time(asked))


FETCHED = container("fetch", "init", exit_code=0)
FETCHES = container("fetch", "init", running_since=_time(3))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (running_pod(), "main"),
        (pod(), "main"),
        (pod(others=(FETCHES,)), "fetch"),
        (pod(others=(FETCHED, container("unpack", "init"))), "fetch"),
        (pod(others=(FETCHED, container("unpack", "init", running_since=_time(4)))), "unpack"),
        (pod(others=(container("proxy", "sidecar", running_since=_time(3)),)), "main"),
        (running_pod(others=(FETCHED,)), "main"),
        (ended_pod(others=(FETCHED,)), "main"),
        (failed_init(), "fetch"),
    ],
)
def test_whose_log_tells_how_far_an_attempt_is(given: PodSnapshot, expected: str) -> None:
    assert given.log_container == expected


def test_objects_without_a_status_have_not_begun() -> None:
    fresh_job, fresh_pod = ({key: document[key] for key in ("metadata", "spec")} for document in (JOB, POD))
    assert job_snapshot(fresh_job) == job(resource_version=4711, is_seen=False)
    assert pod_snapshot(fresh_pod) == pod(
        resource_version=4712, memory_limit="2Gi", others=(container("sidecar", "beside"),)
    )


@pytest.mark.parametrize(
    ("part", "fields", "seen"),
    [
        ("metadata", {"deletionTimestamp": "2026-03-01T10:00:30Z"}, {"deleting": True}),
        ("metadata", {"annotations": {}}, {"snapshot": None}),
        ("metadata", {"annotations": None}, {"snapshot": None}),
        ("metadata", {"ownerReferences": []}, {"owner_uid": ""}),
        ("spec", {"suspend": True}, {"suspend": True}),
        ("spec", {"backoffLimit": 0}, {"backoff_limit": 0}),
        ("status", {"failed": 2, "terminating": 1}, {"failures": 2, "terminating": 1}),
        ("status", {"conditions": None}, {"finished": False}),
        ("status", {"conditions": [_condition("Suspended")]}, {"suspended_since": _time(30)}),
        ("status", {"conditions": [_condition("Suspended", "False")]}, {"suspended_since": None}),
        (
            "status",
            {"conditions": [_condition("SuccessCriteriaMet"), _condition("Complete")]},
            {"complete": True, "finished": True, "finished_at": _time(30), "failed_reason": None},
        ),
        ("status", {"conditions": [_condition("SuccessCriteriaMet")]}, {"complete": False, "finished": False}),
        ("status", {"conditions": [_condition("FailureTarget", reason="X")]}, {"finished": False, "finished_at": None}),
        (
            "status",
            {"conditions": [_condition("Failed", reason="BackoffLimitExceeded", message="too many")]},
            {
                "failed_reason": "BackoffLimitExceeded",
                "failed_message": "too many",
                "finished": True,
                "complete": False,
                "finished_at": _time(30),
            },
        ),
        ("status", {"conditions": [_condition("Failed")]}, {"failed_reason": "Failed", "finished": True}),
        ("status", {"conditions": [_condition("Failed", "False")]}, {"failed_reason": None, "finished": False}),
    ],
)
def test_what_is_seen_of_a_job(part: str, fields: dict[str, Any], seen: dict[str, Any]) -> None:
    view = _job(part, **fields)
    assert {name: getattr(view, name) for name in seen} == seen


def test_a_job_without_a_backoff_limit_has_the_one_of_kubernetes() -> None:
    document = deepcopy(JOB)
    del document["spec"]["backoffLimit"]
    assert job_snapshot(document).backoff_limit == 6


UNSCHEDULABLE = _condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes are available")
INITIALIZING = {"waiting": {"reason": "PodInitializing"}}


@pytest.mark.parametrize(
    ("part", "fields", "seen"),
    [
        ("metadata", {"deletionTimestamp": "2026-03-01T10:00:30Z"}, {"deleted": _time(30)}),
        ("spec", {"nodeName": None}, {"node": None}),
        ("spec", {"activeDeadlineSeconds": 1}, {"deadline": 1}),
        ("spec", {"containers": [{"name": "main", "resources": {"limits": {}}}]}, {"memory_limit": None}),
        ("spec", {"containers": [{"name": "main", "resources": None}]}, {"memory_limit": None}),
        ("status", {"phase": "Succeeded"}, {"ended": True}),
        ("status", {"phase": "Failed"}, {"ended": True}),
        ("status", {"phase": "Pending"}, {"ended": False}),
        ("status", {"phase": "Unknown"}, {"ended": False}),
        (
            "status",
            {"reason": "Evicted", "message": "low on memory"},
            {"reason": "Evicted", "message": "low on memory"},
        ),
        ("status", {"conditions": [UNSCHEDULABLE]}, {"unschedulable": "0/3 nodes are available"}),
        (
            "status",
            {"conditions": [_condition("PodScheduled", "False", reason="Unschedulable")]},
            {"unschedulable": "no node fits"},
        ),
        (
            "status",
            {"conditions": [_condition("PodScheduled", "False", reason="SchedulingGated")]},
            {"unschedulable": None},
        ),
        (
            "status",
            {"conditions": [_condition("DisruptionTarget", reason="PreemptionByScheduler")]},
            {"disruption": "PreemptionByScheduler"},
        ),
        (
            "status",
            {"conditions": [_condition("DisruptionTarget", "False", reason="PreemptionByScheduler")]},
            {"disruption": None},
        ),
        ("status", {"containerStatuses": None}, {"started": None, "waiting_reason": None}),
        ("status", {"containerStatuses": [{"name": "main"}]}, {"started": None}),
        ("spec", {"schedulingGates": [{"name": "a.b/c"}]}, {"gates": ("a.b/c",)}),
        ("spec", {"containers": [{"name": "main", "livenessProbe": {}}]}, {"probed": True}),
        ("spec", {"containers": [{"name": "main", "startupProbe": {}}]}, {"probed": True}),
        ("spec", {"containers": [{"name": "main", "lifecycle": {"postStart": {"exec": {}}}}]}, {"probed": True}),
        ("spec", {"containers": [{"name": "main", "lifecycle": {"preStop": {"exec": {}}}}]}, {"probed": False}),
        ("spec", {"containers": [{"name": "main", "readinessProbe": {}}]}, {"probed": False}),
    ],
)
def test_what_is_seen_of_a_pod(part: str, fields: dict[str, Any], seen: dict[str, Any]) -> None:
    view = _pod(part, **fields)
    assert {name: getattr(view, name) for name in seen} == seen


def test_a_pod_that_is_gone_has_ended_whatever_it_did() -> None:
    view = pod_snapshot(POD, gone=True)
    assert (view.gone, view.ended, view.phase) == (True, True, "Running")


def test_a_container_that_waits_says_why() -> None:
    view = _with_state({"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}, phase="Pending")
    assert (view.waiting_reason, view.waiting_message, view.started) == ("ErrImagePull", "no such tag", None)


def test_a_container_that_could_not_be_started_has_no_start() -> None:
    state = {"terminated": {"exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z"}}
    view = _with_state(state, phase="Failed")
    assert view.started is None
    assert view.termination is not None


@pytest.mark.parametrize(
    ("terminated", "expected"),
    [
        pytest.param(
            {
                "exitCode": 1,
                "reason": "Error",
                "message": "Traceback",
                "startedAt": "2026-03-01T10:00:02Z",
                "finishedAt": "2026-03-01T10:00:50Z",
            },
            Termination(1, None, "Error", "Traceback", _time(2), _time(50)),
            id="error",
        ),
        pytest.param({"exitCode": 0}, Termination(0, None, "Completed", "", None, None), id="completed-without-reason"),
        pytest.param({"exitCode": 2}, Termination(2, None, "Error", "", None, None), id="failed-without-reason"),
        pytest.param({"exitCode": 128}, Termination(128, None, "Error", "", None, None), id="128-is-no-signal"),
        pytest.param({"exitCode": 129}, Termination(129, 1, "Error", "", None, None), id="129-is-signal-1"),
        pytest.param({"exitCode": 192}, Termination(192, 64, "Error", "", None, None), id="192-is-signal-64"),
        pytest.param({"exitCode": 193}, Termination(193, None, "Error", "", None, None), id="193-is-no-signal"),
        pytest.param({"exitCode": 255}, Termination(255, None, "Error", "", None, None), id="255-is-no-signal"),
        pytest.param(
            {"exitCode": 137, "signal": 15, "reason": "OOMKilled"},
            Termination(137, 15, "OOMKilled", "", None, None),
            id="a-signal-that-is-told-counts",
        ),
        pytest.param(
            {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None, "finishedAt": None},
            Termination(137, 9, "ContainerStatusUnknown", "", None, None),
            id="lost-container",
        ),
    ],
)
def test_how_a_container_ended(terminated: dict[str, Any], expected: Termination) -> None:
    view = _with_state({"terminated": terminated})
    assert view.termination == expected
    assert view.started == expected.started


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        (None, ""),
        ([], ""),
        ([{"kind": "Job", "uid": "a"}], ""),
        ([{"kind": "Job", "uid": "a", "controller": False}, {"kind": "Job", "uid": "b", "controller": True}], "b"),
        ([{"kind": "ConfigMap", "uid": "a", "controller": True}], ""),
    ],
)
def test_the_controller_is_the_owner_that_controls(owners: Any, expected: str) -> None:
    assert controller_uid({"ownerReferences": owners}, "Job") == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [({"labels": LABELS}, True), ({"labels": {"app": "x"}}, False), ({"labels": None}, False), ({}, False)],
)
def test_only_jobs_and_pods_with_our_label_are_ours(metadata: dict[str, Any], expected: bool) -> None:
    assert task_of_job(metadata) is expected


@pytest.mark.parametrize(
    ("annotations", "suspend", "held"),
    [
        pytest.param({constants.ANNOTATION_HELD: "true"}, True, True, id="noted"),
        pytest.param({constants.ANNOTATION_HELD: "true"}, False, True, id="noted-and-let-go-by-others"),
        pytest.param(
            {constants.ANNOTATION_HELD: "false", constants.ANNOTATION_NOT_AFTER: "x"}, True, False, id="by-others"
        ),
        pytest.param({constants.ANNOTATION_NOT_AFTER: "x"}, True, False, id="by-others-from-the-start"),
        pytest.param({}, True, True, id="by-a-version-that-noted-nothing"),
        pytest.param({}, False, False, id="not-suspended"),
    ],
)
def test_a_job_says_whether_longtask_has_suspended_it(annotations: dict[str, str], suspend: bool, held: bool) -> None:
    document = deepcopy(JOB)
    document["metadata"]["annotations"] = annotations
    document["spec"]["suspend"] = suspend
    assert job_snapshot(document).held is held


def test_kubelets_own_deletion_does_not_move_the_time_at_which_a_pod_was_asked_to_go() -> None:
    first, last = running_pod(asked_to_go=_time(16)), ended_pod(exit_code=137, asked_to_go=_time(19))
    assert with_earlier_facts(last, first).asked_to_go == _time(16)
    assert with_earlier_facts(last, None).asked_to_go == _time(19)
    assert with_earlier_facts(running_pod(), running_pod()).asked_to_go is None


EVENT: dict[str, Any] = {
    "involvedObject": {"kind": "Pod", "uid": "uid-a", "fieldPath": "spec.containers{main}"},
    "type": "Warning",
    "reason": "Unhealthy",
    "message": "Liveness probe failed: no heartbeat\n",
    "firstTimestamp": "2026-03-01T10:00:08Z",
    "lastTimestamp": "2026-03-01T10:00:09Z",
    "eventTime": None,
}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, PodEvent(_time(9), "Unhealthy", "Liveness probe failed: no heartbeat", True, "main")),
        (
            {"lastTimestamp": None, "eventTime": "2026-03-01T10:00:10.5Z", "type": "Normal", "message": None}
            | {"involvedObject": {"kind": "Pod"}},
            PodEvent(_time(10).replace(microsecond=500_000), "Unhealthy", "", False, ""),
        ),
        (
            {"firstTimestamp": None, "lastTimestamp": None, "metadata": {"creationTimestamp": "2026-03-01T10:00:11Z"}},
            PodEvent(_time(11), "Unhealthy", "Liveness probe failed: no heartbeat", True, "main"),
        ),
    ],
)
def test_what_an_event_tells_of_a_pod(more: dict[str, Any], expected: PodEvent) -> None:
    assert pod_event(EVENT | more) == expected


@pytest.mark.parametrize("text", ["{}", "not JSON", '{"generation": 3}', "null"])
def test_a_snapshot_that_cannot_be_read_is_none(text: str) -> None:
    assert _job("metadata", annotations={constants.ANNOTATION_SNAPSHOT: text}).snapshot is None


@pytest.mark.parametrize(
    ("text", "expected"), [('{"type": "number"}', '{"type": "number"}'), ("not JSON", None), ("7", None), ("", None)]
)
def test_a_result_schema_that_cannot_be_read_is_none(text: str, expected: str | None) -> None:
    assert _job("metadata", annotations={constants.ANNOTATION_RESULT_SCHEMA: text}).result_schema == expected


@pytest.mark.parametrize(
    ("cpu", "cores"),
    [("2", 2.0), ("0", 0.0), ("250m", 0.25), ("1500u", 0.0015), ("3400000n", 0.0034), ("1.5", 1.5), ("x", None)],
)
def test_what_the_working_container_uses_is_read(cpu: str, cores: float | None) -> None:
    containers = [{"name": name, "usage": {"cpu": used}} for name, used in (("log", "9"), ("main", cpu))]
    usage = pod_usage({"containers": containers}, "main")
    assert (usage.cpu if usage else None) == (None if cores is None else pytest.approx(cores))


@pytest.mark.parametrize("document", [{}, {"containers": None}, {"containers": [{"name": "log"}]}])
def test_metrics_without_the_container_say_nothing(document: dict[str, Any]) -> None:
    assert pod_usage(document, "main") is None


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ((), None),
        ((pod(),), None),
        ((ended_pod(),), None),
        ((ended_pod(phase="Running"),), None),
        ((running_pod(gone=True),), None),
        ((running_pod(deleted=datetime(2026, 3, 1, tzinfo=UTC)),), None),
        ((ended_pod(exit_code=1), running_pod("b", 60)), "pod-b"),
        ((running_pod("b", 60), running_pod("a", 1)), "pod-b"),
    ],
)
def test_which_pod_works(pods: tuple[PodSnapshot, ...], expected: str | None) -> None:
    working = working_pod(pods)
    assert (working.name if working else None) == expected


FAILED_TWICE = (ended_pod("b", 20, exit_code=1), ended_pod("a", exit_code=1))


@pytest.mark.parametrize(
    ("given", "pods", "expected"),
    [
        (job(complete=True), (), None),
        (job(complete=True), FAILED_TWICE, None),
        (job(complete=True), (*FAILED_TWICE, ended_pod("c", 5)), "pod-c"),
        (job(failed_reason="x"), FAILED_TWICE, "pod-b"),
        (None, (*FAILED_TWICE, ended_pod("c", 5)), "pod-c"),
    ],
)
def test_which_pod_tells_how_a_job_ended(
    given: JobSnapshot | None, pods: tuple[PodSnapshot, ...], expected: str | None
) -> None:
    decisive = decisive_pod(given, pods, LongTaskStatus())
    assert (decisive.name if decisive else None) == expected


ENDS: dict[str, tuple[JobSnapshot, tuple[PodSnapshot, ...], bool]] = {
    "complete, its pod succeeded": (job(complete=True), (ended_pod(),), True),
    "complete, no pod yet": (job(complete=True), (), False),
    "complete, only the failed first attempt yet": (job(complete=True), (ended_pod(exit_code=1),), False),
    "failed, its pod failed": (job(failed_reason="x", failures=1), (ended_pod(exit_code=1),), True),
    "failed, its pod still seems to run": (job(failed_reason="x", failures=1), (running_pod(),), False),
    "failed, no pod yet": (job(failed_reason="x", failures=1), (), False),
    "failed, one of two attempts yet": (job(failed_reason="x", failures=2), (ended_pod(exit_code=1),), False),
    "failed, only an evicted pod yet": (
        job(failed_reason="x", failures=1),
        (ended_pod(exit_code=143, disruption="EvictionByEvictionAPI"),),
        False,
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_whether_the_pods_tell_how_a_job_ended(case: str) -> None:
    given, pods, seen = ENDS[case]
    assert end_is_seen(given, pods) is seen
