"""Why work does not start, or why it failed."""

from dataclasses import replace
from typing import Any

import pytest

from longtask_api.longtask import LongTaskStatus
from longtask_operator.planning import failure_reasons
from longtask_operator.planning.done import is_done
from longtask_operator.planning.failure_reasons import LOG_TAIL_LIMIT, PodCreateFailure, StartProblem
from longtask_operator.planning.snapshots import PodEvent, PodSnapshot
from tests.unit.given import at, container, ended_pod, failed_init, job, pod, running_pod

NO_STATUS = LongTaskStatus()
OVER = failure_reasons.over_total_deadline(60, "activeDeadlineSeconds of the LongTaskTemplate")
FAILED = job(failed_reason="BackoffLimitExceeded", failed_message="Job has reached the specified backoff limit")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (pod(), None),
        (pod(waiting_reason="ContainerCreating"), None),
        (pod(waiting_reason="PodInitializing"), None),
        (
            pod(unschedulable="0/3 nodes"),
            StartProblem("Unschedulable", "no node takes the pod: 0/3 nodes", failure_reasons.UNSCHEDULABLE_HINT),
        ),
        (
            pod(waiting_reason="ErrImagePull", waiting_message="no such tag"),
            StartProblem("ImagePullBackOff", "the container cannot start: no such tag", failure_reasons.IMAGE_HINT),
        ),
        (
            pod(waiting_reason="ImagePullBackOff"),
            StartProblem(
                "ImagePullBackOff", "the container cannot start: ImagePullBackOff", failure_reasons.IMAGE_HINT
            ),
        ),
        (
            pod(waiting_reason="ErrImageNeverPull"),
            StartProblem(
                "ErrImageNeverPull", "the container cannot start: ErrImageNeverPull", failure_reasons.IMAGE_NEVER_HINT
            ),
        ),
        (
            pod(waiting_reason="InvalidImageName"),
            StartProblem(
                "InvalidImageName", "the container cannot start: InvalidImageName", failure_reasons.IMAGE_HINT
            ),
        ),
        (
            pod(waiting_reason="CreateContainerConfigError", waiting_message='secret "x" not found'),
            StartProblem(
                "CreateContainerConfigError",
                'the container cannot start: secret "x" not found',
                failure_reasons.CONFIG_HINT,
            ),
        ),
    ],
)
def test_what_keeps_a_pod_from_starting(given: PodSnapshot, expected: StartProblem | None) -> None:
    assert failure_reasons.not_starting(given) == expected


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("failed to resolve reference: docker.io/x:1: not found", failure_reasons.IMAGE_NOT_FOUND_HINT),
        ("manifest unknown: manifest unknown", failure_reasons.IMAGE_NOT_FOUND_HINT),
        (
            "pull access denied, repository does not exist or may require authorization",
            failure_reasons.IMAGE_DENIED_HINT,
        ),
        ("unexpected status: 401 Unauthorized", failure_reasons.IMAGE_DENIED_HINT),
        ("unexpected status: 403 Forbidden", failure_reasons.IMAGE_DENIED_HINT),
        ("dial tcp: lookup r.example: no such host", failure_reasons.REGISTRY_HINT),
        ("dial tcp 10.0.0.1:443: connect: connection refused", failure_reasons.REGISTRY_HINT),
        ("net/http: TLS handshake timeout", failure_reasons.REGISTRY_HINT),
        ("something new", failure_reasons.IMAGE_HINT),
    ],
)
def test_what_to_do_about_an_image_depends_on_why_it_cannot_be_pulled(message: str, hint: str) -> None:
    problem = failure_reasons.not_starting(pod(waiting_reason="ErrImagePull", waiting_message=message))
    assert problem == StartProblem("ImagePullBackOff", f"the container cannot start: {message}", hint)


def test_a_failed_pull_and_the_wait_before_the_next_one_are_the_same_news() -> None:
    failed = pod(waiting_reason="ErrImagePull", waiting_message='pulling "x:1": not found')
    waits = 'Back-off pulling image "x:1": ErrImagePull: pulling "x:1": not found'
    waiting = pod(waiting_reason="ImagePullBackOff", waiting_message=waits)
    assert failure_reasons.not_starting(failed) == failure_reasons.not_starting(waiting)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("0/1 nodes are available: 1 Insufficient cpu.", failure_reasons.UNSCHEDULABLE_HINT),
        (
            "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint",
            failure_reasons.UNSCHEDULABLE_HINT,
        ),
        (
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            failure_reasons.PLACEMENT_HINT,
        ),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}.", failure_reasons.PLACEMENT_HINT),
        ('persistentvolumeclaim "data" not found', failure_reasons.VOLUME_HINT),
        ("pod has unbound immediate PersistentVolumeClaims", failure_reasons.VOLUME_HINT),
        ("something new", failure_reasons.UNSCHEDULABLE_HINT),
    ],
)
def test_what_to_do_about_a_pod_without_a_node_depends_on_what_the_scheduler_says(message: str, hint: str) -> None:
    problem = failure_reasons.not_starting(pod(unschedulable=message))
    assert problem == StartProblem("Unschedulable", f"no node takes the pod: {message}", hint)


@pytest.mark.parametrize("reason", ["CreateContainerError", "RunContainerError"])
def test_a_container_that_cannot_be_run_has_a_hint(reason: str) -> None:
    problem = failure_reasons.not_starting(pod(waiting_reason=reason))
    assert problem is not None
    assert problem.reason == reason
    assert problem.hint.startswith("Check ")


@pytest.mark.parametrize(
    ("message", "reason", "hint"),
    [
        ("violates PodSecurity restricted", "PodSecurityViolation", failure_reasons.POD_SECURITY_HINT),
        ("exceeded quota: pods", "QuotaExceeded", failure_reasons.QUOTA_HINT),
        ("failed quota: x: must specify limits.memory", "QuotaExceeded", failure_reasons.NO_RESOURCES_HINT),
        ("admission webhook denied the request", "PodRefused", failure_reasons.TEMPLATE_HINT),
    ],
)
def test_why_no_pod_was_created(message: str, reason: str, hint: str) -> None:
    problem = failure_reasons.not_created([PodCreateFailure(at(10), message)], at(5))
    assert problem is not None
    assert (problem.reason, problem.hint) == (reason, hint)
    assert problem.message.endswith(f": {message}")


@pytest.mark.parametrize(
    ("refusals", "expected"),
    [
        ([], None),
        ([PodCreateFailure(at(9), "old")], None),
        ([PodCreateFailure(at(10), "just now")], "the pod could not be created: just now"),
        (
            [PodCreateFailure(at(30), "newest"), PodCreateFailure(at(20), "newer"), PodCreateFailure(at(9), "old")],
            "the pod could not be created: newest",
        ),
    ],
)
def test_the_newest_refusal_that_is_not_too_old_counts(refusals: list[PodCreateFailure], expected: str | None) -> None:
    problem = failure_reasons.not_created(refusals, at(10))
    assert (problem.message if problem else None) == expected


BROKEN = container("fetch", "init", waiting_reason="ErrImagePull", waiting_message="no such tag")
CRASHED = container("proxy", "sidecar", exit_code=1, told="port in use\n")
RUNS_AGAIN = replace(CRASHED, termination=None, last_termination=CRASHED.termination, running_since=at(9))
MOUNT = PodEvent(at(20), "FailedMount", 'MountVolume.SetUp failed: secret "none" not found', True, "")
PROBED = PodEvent(at(30), "Unhealthy", "Startup probe failed: no certificate yet", True, "proxy")


@pytest.mark.parametrize(
    ("given", "events", "reason", "message", "hint"),
    [
        pytest.param(
            pod(waiting_reason="PodInitializing", others=(BROKEN,)),
            (),
            "ImagePullBackOff",
            "init container fetch cannot start: no such tag",
            failure_reasons.IMAGE_HINT,
            id="init-container",
        ),
        pytest.param(
            pod(others=(CRASHED,)),
            (),
            "CrashLoopBackOff",
            "sidecar proxy ends again and again: exit code 1: port in use",
            failure_reasons.SIDECAR_HINT,
            id="sidecar",
        ),
        pytest.param(
            pod(others=(RUNS_AGAIN,)),
            (MOUNT,),
            "CrashLoopBackOff",
            "sidecar proxy ends again and again: exit code 1: port in use",
            failure_reasons.SIDECAR_HINT,
            id="sidecar-that-runs-again-for-a-moment",
        ),
        pytest.param(
            pod(gates=("a/b", "c/d")),
            (),
            "SchedulingGated",
            "scheduling gates hold the pod back: a/b, c/d",
            failure_reasons.GATES_HINT,
            id="gates",
        ),
        pytest.param(
            pod(),
            (MOUNT,),
            "FailedMount",
            f"the pod cannot start: {MOUNT.message}",
            failure_reasons.CONFIG_HINT,
            id="volume",
        ),
        pytest.param(
            pod(),
            (MOUNT, PROBED),
            "StartupProbeFailed",
            "proxy is not ready: Startup probe failed: no certificate yet",
            failure_reasons.PROBE_HINT,
            id="the-newest-of-several",
        ),
        pytest.param(
            pod(waiting_reason="ErrImageNeverPull"),
            (MOUNT,),
            "ErrImageNeverPull",
            "the container cannot start: ErrImageNeverPull",
            failure_reasons.IMAGE_NEVER_HINT,
            id="the-status-before-events",
        ),
    ],
)
def test_what_keeps_a_pod_of_several_containers_from_starting(
    given: PodSnapshot, events: tuple[PodEvent, ...], reason: str, message: str, hint: str
) -> None:
    assert failure_reasons.not_starting(given, events) == StartProblem(reason, message, hint)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((replace(MOUNT, warning=False),), id="no-warning"),
        pytest.param((replace(MOUNT, reason="FailedScheduling"),), id="it-has-a-node-by-now"),
        pytest.param((replace(MOUNT, at=at(0)),), id="of-before"),
        pytest.param((), id="none"),
    ],
)
def test_events_that_say_nothing_of_why_a_pod_does_not_start(events: tuple[PodEvent, ...]) -> None:
    assert failure_reasons.not_starting(pod(), events) is None


KILLED = ended_pod(exit_code=137, signal=9, probed=True)
HEARTBEAT = PodEvent(at(48), "Unhealthy", "Liveness probe failed: no heartbeat", True, "main")
KILLING = PodEvent(at(48), "Killing", "Stopping container main", False, "main")
HOOK = PodEvent(at(3), "FailedPostStartHook", "PostStartHook failed", True, "main")


@pytest.mark.parametrize(
    ("given", "events", "reason"),
    [
        (KILLED, (HEARTBEAT,), "LivenessProbeFailed"),
        (KILLED, (replace(HEARTBEAT, message="Startup probe failed: "),), "StartupProbeFailed"),
        (KILLED, (replace(HEARTBEAT, message="Liveness probe errored: rpc error"),), "LivenessProbeFailed"),
        (KILLED, (HOOK, HEARTBEAT), "PostStartHookFailed"),
        (ended_pod(exit_code=2), (HOOK,), "PostStartHookFailed"),
        (KILLED, (replace(HEARTBEAT, container="proxy"),), None),
        (KILLED, (replace(HEARTBEAT, message="Readiness probe failed: "),), None),
        (ended_pod(exit_code=2), (HEARTBEAT,), None),
        (ended_pod(exit_code=2), (HEARTBEAT, KILLING), "LivenessProbeFailed"),
        (ended_pod(exit_code=2), (HEARTBEAT, replace(KILLING, container="proxy")), None),
        (ended_pod(exit_code=2), (HEARTBEAT, replace(KILLING, at=at(47))), None),
        (ended_pod(), (HEARTBEAT, KILLING), "LivenessProbeFailed"),
        (ended_pod(), (HEARTBEAT,), None),
        (running_pod(), (HEARTBEAT,), None),
        (KILLED, (), None),
    ],
)
def test_for_what_kubelet_ended_the_work(given: PodSnapshot, events: tuple[PodEvent, ...], reason: str | None) -> None:
    problem = failure_reasons.ended_by_kubelet(given, events)
    assert (problem.reason if problem else None) == reason
    assert problem is None or problem.message.startswith("kubelet ended the work: ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (KILLED, True),
        (replace(KILLED, probed=False), False),
        (replace(KILLED, deleted=at(49)), False),
        (replace(KILLED, reason="DeadlineExceeded"), False),
        (ended_pod(probed=True), True),
        (running_pod(probed=True), False),
    ],
)
def test_only_work_that_kubelet_may_have_ended_is_worth_a_look_at_its_events(
    given: PodSnapshot, expected: bool
) -> None:
    assert failure_reasons.may_be_ended_by_kubelet(given) is expected


@pytest.mark.parametrize("length", [0, 4096, 4097, 100_000])
def test_a_text_is_made_to_fit_a_status_field(length: int) -> None:
    text = "a" * (length // 2) + "z" * (length - length // 2)
    fitted = failure_reasons.fitted(text)
    assert len(fitted) <= 4096
    assert (fitted[:1], fitted[-1:]) == (text[:1], text[-1:])
    assert (fitted == text) is (length <= 4096)
    assert (" [...] " in fitted) is (length > 4096)


@pytest.mark.parametrize(
    ("given", "suspended", "expected"),
    [
        (running_pod(), False, None),
        (running_pod(deleted=at(80)), True, None),
        (running_pod(gone=True), False, "Deleted"),
        (running_pod(gone=True, deleted=at(80)), True, "Suspended"),
        (running_pod(gone=True), True, "Deleted"),
        (ended_pod(), False, "Completed"),
        (ended_pod(phase="Running"), False, "Completed"),
        (ended_pod(phase="Running", disruption="EvictionByEvictionAPI"), False, "Evicted"),
        (ended_pod(phase="Running", disruption="EvictionByEvictionAPI", told="7"), False, "Completed"),
        (ended_pod(phase="Running", disruption="EvictionByEvictionAPI", asked_to_go=at(51)), False, "Completed"),
        (ended_pod(deleted=at(80)), False, "Deleted"),
        (ended_pod(deleted=at(81)), False, "Completed"),
        (ended_pod(exit_code=137, deleted=at(80)), False, "Deleted"),
        (ended_pod(exit_code=3, deleted=at(81)), False, "Error"),
        (ended_pod(phase="Failed", reason="DeadlineExceeded", told="7"), False, "Completed"),
        (failed_init(), False, "Error"),
        (failed_init(exit_code=137, why="OOMKilled"), False, "OOMKilled"),
        (ended_pod(deleted=at(80)), True, "Suspended"),
        (ended_pod(exit_code=137, why="OOMKilled"), False, "OOMKilled"),
        (ended_pod(exit_code=137, why="OOMKilled", disruption="EvictionByEvictionAPI"), False, "OOMKilled"),
        (ended_pod(exit_code=143, disruption="EvictionByEvictionAPI"), False, "Evicted"),
        (ended_pod(exit_code=143, disruption="TerminationByKubelet", reason="Evicted"), False, "Evicted"),
        (ended_pod(exit_code=143, disruption="PreemptionByScheduler"), False, "Preempted"),
        (ended_pod(exit_code=143, disruption="DeletionByTaintManager"), False, "NodeLost"),
        (running_pod(gone=True, disruption="DeletionByPodGC"), False, "NodeLost"),
        (ended_pod(exit_code=143, disruption="SomethingNew"), False, "Disrupted"),
        (ended_pod(exit_code=137, reason="DeadlineExceeded"), False, "DeadlineExceeded"),
        (ended_pod(exit_code=0, phase="Failed", reason="DeadlineExceeded"), False, "DeadlineExceeded"),
        (ended_pod(exit_code=128, why="StartError"), False, "StartError"),
        (pod(phase="Failed"), False, "Error"),
        (pod(phase="Failed", reason="OutOfnvidia.com/gpu"), False, "OutOfnvidiacomgpu"),
        (pod(phase="Failed", reason="X" * 65), False, "X" * 64),
        (pod(phase="Failed", reason="503"), False, "Error"),
        (pod(phase="Failed", reason="..."), False, "Error"),
        (ended_pod(exit_code=1, why="Odd reason"), False, "Oddreason"),
        (pod(phase="Failed", reason="UnexpectedAdmissionError"), False, "UnexpectedAdmissionError"),
    ],
)
def test_why_an_attempt_ended(given: PodSnapshot, suspended: bool, expected: str | None) -> None:
    assert failure_reasons.attempt_reason(given, done=is_done(NO_STATUS, given), suspended=suspended) == expected


@pytest.mark.parametrize(
    ("given", "suspended", "expected"),
    [
        (ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=1), False, "Stalled"),
        (ended_pod(exit_code=137, why="OOMKilled", deadline=1), False, "OOMKilled"),
        (ended_pod(exit_code=137, deleted=at(80), deadline=1), True, "Suspended"),
        (ended_pod(), False, "Completed"),
        (running_pod(deadline=1), False, None),
    ],
)
def test_an_attempt_that_was_stopped_because_it_told_nothing(
    given: PodSnapshot, suspended: bool, expected: str | None
) -> None:
    assert (
        failure_reasons.attempt_reason(given, done=is_done(NO_STATUS, given), suspended=suspended, stalled=True)
        == expected
    )


STOPPED = ended_pod(exit_code=143, phase="Failed", reason="DeadlineExceeded", deadline=1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (STOPPED, "Cancelled"),
        (replace(STOPPED, deadline=60), "DeadlineExceeded"),
        (running_pod(gone=True, deleted=at(40)), "Cancelled"),
        (ended_pod(exit_code=3), "Error"),
        (ended_pod(exit_code=137, why="OOMKilled", deadline=1, reason="DeadlineExceeded"), "OOMKilled"),
        (ended_pod(exit_code=143, disruption="EvictionByEvictionAPI", deleted=at(40)), "Evicted"),
        (ended_pod(phase="Failed", reason="DeadlineExceeded", deadline=1), "Cancelled"),
        (ended_pod(phase="Failed", reason="DeadlineExceeded", deadline=1, told="7"), "Completed"),
    ],
)
def test_why_an_attempt_of_a_cancelled_task_ended(given: PodSnapshot, expected: str) -> None:
    assert failure_reasons.attempt_reason(given, done=is_done(NO_STATUS, given), cancelled=True) == expected


@pytest.mark.parametrize(
    ("given", "why", "hint"),
    [
        (ended_pod(disruption="EvictionByEvictionAPI"), "evicted", "says with a result that it is done"),
        (ended_pod(deleted=at(80)), "deleted", "says with a result that it is done"),
        (replace(STOPPED, termination=ended_pod().termination), "ended", "Give it less to do"),
    ],
)
def test_work_that_left_with_0_when_it_had_to_and_gave_no_result(given: PodSnapshot, why: str, hint: str) -> None:
    failure = failure_reasons.failure(FAILED, given, "saving")
    assert f"exit code 0 while its pod was being {why}, and no result" in failure.message
    assert (failure.exit_code, failure.log_tail) == (0, "saving")
    assert hint in (failure.hint or "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (ended_pod(), None),
        (ended_pod(others=(container("exporter", "beside", exit_code=0),)), None),
        (ended_pod(others=(container("proxy", "sidecar", exit_code=137),)), None),
        (ended_pod(others=(container("exporter", "beside"),)), None),
        (
            ended_pod(others=(container("exporter", "beside", exit_code=1, told="a\npush failed\n"),)),
            "container exporter failed: exit code 1: push failed",
        ),
        (
            ended_pod(reason="DeadlineExceeded", others=(container("exporter", "beside", exit_code=137),)),
            "container exporter still ran and was ended with the pod",
        ),
    ],
)
def test_what_became_of_containers_beside_work_that_is_done(given: PodSnapshot, expected: str | None) -> None:
    assert failure_reasons.failed_beside(given) == expected


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (ended_pod(exit_code=3), "exit code 3", "It wrote nothing"),
        (
            ended_pod(exit_code=3, others=(container("proxy", "sidecar", exit_code=137),)),
            "exit code 3",
            "It wrote nothing",
        ),
        (ended_pod(exit_code=139, signal=11), "killed by SIGSEGV (exit code 139)", "Native code crashed"),
        (ended_pod(exit_code=137, signal=9), "killed by SIGKILL (exit code 137)", "Something killed it at once"),
        (ended_pod(exit_code=134, signal=6), "killed by SIGABRT (exit code 134)", "It wrote nothing"),
        (ended_pod(exit_code=143, signal=15), "killed by SIGTERM (exit code 143)", "It was asked to stop"),
        (ended_pod(exit_code=192, signal=64), "killed by SIGRTMAX (exit code 192)", "It wrote nothing"),
        (ended_pod(exit_code=165, signal=37), "killed by signal 37 (exit code 165)", "It wrote nothing"),
        (ended_pod(exit_code=127), "exit code 127", "Check that the command exists"),
        (ended_pod(exit_code=126, told="denied"), "exit code 126: denied", "Check that the command exists"),
        (ended_pod(exit_code=128, why="StartError", told="no such file"), "exit code 128: no such file", "Check that"),
        (ended_pod(exit_code=3, told=" no such file\n"), "exit code 3: no such file", "The log tail shows"),
        (ended_pod(exit_code=135, signal=7), "killed by SIGBUS (exit code 135)", "Shared memory was full"),
        (
            ended_pod(exit_code=134, signal=6, told="bad"),
            "killed by SIGABRT (exit code 134): bad",
            "The log tail shows",
        ),
        (ended_pod(exit_code=137, why="OOMKilled"), "the work used more memory than it may have", "Start again with"),
        (
            ended_pod(exit_code=143, disruption="PreemptionByScheduler", message="for a pod of higher priority"),
            "the pod was taken away by the cluster: for a pod of higher priority",
            "Start it again.",
        ),
        (
            ended_pod(exit_code=143, disruption="PreemptionByScheduler"),
            "the pod was taken away by the cluster: Preempted",
            "Start it again.",
        ),
        (running_pod(gone=True), "somebody deleted the pod", "Start it again."),
        (
            ended_pod(exit_code=137, reason="Evicted", message="Usage of EmptyDir volume exceeds the limit"),
            "kubelet evicted the pod: Usage of EmptyDir volume exceeds the limit",
            "The work used more local storage",
        ),
        (
            ended_pod(exit_code=137, reason="Evicted", disruption="TerminationByKubelet", message="low on memory"),
            "the node was short of something and its kubelet ended the pod: low on memory",
            "Set resources.requests",
        ),
        (failed_init(), "init container fetch failed: exit code 3", "It wrote nothing"),
        (failed_init(told="no such bucket"), "init container fetch failed: exit code 3: no such bucket", "The log"),
        (
            failed_init(exit_code=137, why="OOMKilled", memory_limit="64Mi"),
            "init container fetch used more memory than it may have (limit 64Mi)",
            "Start again with",
        ),
        (pod(phase="Failed", message="Pod was rejected"), "Pod was rejected", "Start it again."),
        (pod(phase="Failed"), "the pod failed", "Start it again."),
        (
            ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=30),
            "the attempt took longer than the template's deadline for one attempt (30 s)",
            "Give it less to do",
        ),
    ],
)
def test_why_a_job_failed(given: PodSnapshot, message: str, hint: str) -> None:
    failure = failure_reasons.failure(FAILED, given, None)
    assert failure.message == message
    assert (failure.hint or "").startswith(hint)


@pytest.mark.parametrize(
    ("limit", "memory", "known"),
    [
        ("512Mi", 498 * 2**20, " (limit 512Mi; 498Mi at the last report)"),
        ("512Mi", None, " (limit 512Mi)"),
        (None, 2**30, " (1024Mi at the last report)"),
        ("1Gi", 0, " (limit 1Gi)"),
        ("256Mi", 23 * 2**20, " (limit 256Mi)"),
        ("256Mi", 128 * 2**20, " (limit 256Mi; 128Mi at the last report)"),
        ("1G", 600 * 10**6, " (limit 1G; 572Mi at the last report)"),
        ("about 5", 2**20, " (limit about 5; 1Mi at the last report)"),
        (None, None, ""),
    ],
)
def test_too_much_memory_is_told_with_the_limit_and_what_was_used_last(
    limit: str | None, memory: int | None, known: str
) -> None:
    killed = ended_pod(exit_code=137, why="OOMKilled", memory_limit=limit)
    failure = failure_reasons.failure(FAILED, killed, None, memory=memory)
    assert failure.message == f"the work used more memory than it may have{known}"


def test_a_stop_because_nothing_was_told_says_what_was_known_then() -> None:
    stopped = ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=1)
    failure = failure_reasons.failure(FAILED, stopped, "log", total_deadline=OVER, stalled="told nothing for 30 s")
    assert (failure.reason, failure.message, failure.log_tail) == ("Stalled", "told nothing for 30 s", "log")
    assert "stall.timeoutSeconds" in (failure.hint or "")


def test_a_stop_because_nothing_was_told_does_not_point_to_a_log_that_is_empty() -> None:
    stopped = ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=1)
    failure = failure_reasons.failure(FAILED, stopped, "\n", stalled="told nothing for 30 s")
    assert failure.log_tail is None
    assert failure.hint == failure_reasons.STALLED_AND_SILENT_HINT


@pytest.mark.parametrize(
    ("why", "reason", "message"),
    [
        (
            "ContainerStatusUnknown",
            "Evicted",
            "kubelet evicted the pod: too much on its disk; its log is gone with its container",
        ),
        ("StartError", "", "exit code 128: what kubelet says"),
    ],
)
def test_what_kubelet_says_of_a_container_is_not_given_as_the_log_of_the_work(
    why: str, reason: str, message: str
) -> None:
    code = 128 if why == "StartError" else 137
    evicted = ended_pod(
        exit_code=code, why=why, told="what kubelet says", reason=reason, message="too much on its disk"
    )
    failure = failure_reasons.failure(FAILED, evicted, None)
    assert (failure.log_tail, failure.message) == (None, message)
    assert failure_reasons.failure(FAILED, evicted, "epoch 1").log_tail == "epoch 1"


def test_a_post_start_hook_that_failed_is_told_alike_before_and_after_the_end_of_the_task() -> None:
    told = PodEvent(at(20), "FailedPostStartHook", "PostStartHook failed", True, "main")
    waiting = failure_reasons.not_starting(pod(waiting_reason="PodInitializing"), [told])
    assert waiting is not None
    assert waiting == failure_reasons.ended_by_kubelet(ended_pod(exit_code=137), [told])


def test_without_a_pod_the_job_itself_is_asked() -> None:
    failure = failure_reasons.failure(FAILED, None, None)
    assert (failure.reason, failure.message) == (
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
    )
    nameless = failure_reasons.failure(job(failed_reason=""), None, None)
    assert (nameless.reason, nameless.message) == (
        "JobFailed",
        "the Job failed and none of its pods is left to say why",
    )


@pytest.mark.parametrize(
    ("log", "told", "tail", "message"),
    [
        ("epoch 1\nepoch 2\n", "", "epoch 1\nepoch 2", "exit code 3: epoch 2"),
        (None, "epoch 2", "epoch 2", "exit code 3: epoch 2"),
        ("", "epoch 2", "epoch 2", "exit code 3: epoch 2"),
        ("a\nepoch 1\nepoch 2\n", "epoch 1\nepoch 2", "a\nepoch 1\nepoch 2", "exit code 3: epoch 2"),
        ("epoch 1", "out of disk", "epoch 1", "exit code 3: out of disk"),
        (None, "", None, "exit code 3"),
        ("\n \n", "", None, "exit code 3"),
    ],
)
def test_the_last_words_are_the_works_own_else_the_last_line_of_its_log(
    log: str | None, told: str, tail: str | None, message: str
) -> None:
    failure = failure_reasons.failure(FAILED, ended_pod(exit_code=3, told=told), log)
    assert (failure.log_tail, failure.message, failure.exit_code) == (tail, message, 3)


def test_a_stop_for_the_total_deadline_is_told_as_such() -> None:
    stopped = ended_pod(exit_code=137, reason="DeadlineExceeded", deadline=1)
    failure = failure_reasons.failure(FAILED, stopped, "log", total_deadline=OVER)
    assert failure.message == "the work was active for longer than its activeDeadlineSeconds (60 s)"
    assert failure.hint == "Give it less to do, or more time: activeDeadlineSeconds of the LongTaskTemplate."
    assert (failure.reason, failure.exit_code, failure.log_tail) == ("DeadlineExceeded", 137, "log")


def test_a_failure_of_its_own_is_not_put_on_the_total_deadline() -> None:
    failure = failure_reasons.failure(FAILED, ended_pod(exit_code=3), None, total_deadline=OVER)
    assert (failure.reason, failure.message) == ("Error", "exit code 3")


def test_a_very_long_message_is_cut() -> None:
    failure = failure_reasons.failure(FAILED, ended_pod(exit_code=3, told="x" * 5000), "log")
    assert 4000 < len(failure.message) <= 4096


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (None, None),
        ("", None),
        ("  \n", None),
        ("a\nb\n\n", "a\nb"),
        ("x" * LOG_TAIL_LIMIT + "\n", "x" * LOG_TAIL_LIMIT),
        ("x" * (LOG_TAIL_LIMIT + 1), "x" * LOG_TAIL_LIMIT),
        ("cut " * 3000 + "\nlast line", "last line"),
        ("first\n" + "x" * LOG_TAIL_LIMIT, "x" * LOG_TAIL_LIMIT),
    ],
    ids=["none", "empty", "blank", "short", "just-fits", "one-long-line", "whole-lines", "last-line-just-fits"],
)
def test_the_tail_of_a_log_is_its_last_whole_lines(log: str | None, expected: str | None) -> None:
    assert failure_reasons.log_tail(log) == expected


def test_the_tail_of_a_log_fits_a_shorter_field_too() -> None:
    assert failure_reasons.log_tail("one\ntwo\nthree\n", 9) == "two\nthree"


def test_a_lost_node_is_named_with_what_to_do() -> None:
    problem = failure_reasons.lost_node(running_pod())
    assert problem.reason == "NodeLost"
    assert "node-1" in problem.message
    assert "kubectl delete node node-1" in problem.hint


@pytest.mark.parametrize("given", [running_pod(), ended_pod(exit_code=3), pod(phase="Failed")])
def test_a_failure_always_has_a_hint(given: Any) -> None:
    assert failure_reasons.failure(FAILED, given, None).hint


@pytest.mark.parametrize(
    ("log", "hint"),
    [("epoch 1", failure_reasons.STALLED_HINT), (None, failure_reasons.STALLED_AND_SILENT_HINT)],
    ids=["with a log", "without"],
)
def test_work_that_was_ended_for_silence_is_looked_for_in_its_log(log: str | None, hint: str) -> None:
    failure = failure_reasons.for_silence("no report for 600 s", log)
    assert (failure.reason, failure.message, failure.hint) == ("Stalled", "no report for 600 s", hint)


def test_only_a_container_beside_the_work_is_named_as_one() -> None:
    waits: dict[str, Any] = {"waiting_reason": "ImagePullBackOff"}
    given = pod(
        others=(container("fetch", "init", **waits), container("logs", "beside"), container("mesh", "beside", **waits))
    )
    problem = failure_reasons.not_starting_beside(given)
    assert problem is not None
    assert problem.message == "container mesh cannot start: ImagePullBackOff"
    assert failure_reasons.not_starting_beside(pod(others=given.others[:2])) is None
