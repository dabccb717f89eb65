"""Explains why a pod does not start or why it failed, with hints that a person or an agent can act on. Pure."""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from longtask_api.longtask import Attempt, Failure
from longtask_operator.planning import failure_sentence
from longtask_operator.planning.snapshots import ContainerSnapshot, JobSnapshot, PodEvent, PodSnapshot, Termination

LOG_TAIL_LIMIT = 8192
SHORT_LOG_TAIL_LIMIT = 4096
TEXT_LIMIT = 4096
ATTEMPT_TEXT_LIMIT = 512
"""Characters allowed by the CRD: log tail of a failure, log tail of a success, message, message of an attempt."""

STALLED = "Stalled"
"""Reason of an attempt that was ended because it did not report."""

DISRUPTIONS = {
    "EvictionByEvictionAPI": "Evicted",
    "PreemptionByScheduler": "Preempted",
    "DeletionByTaintManager": "NodeLost",
    "DeletionByPodGC": "NodeLost",
    "TerminationByKubelet": "Evicted",
}
"""Reasons of attempts by reason of the DisruptionTarget condition
(https://kubernetes.io/docs/concepts/workloads/pods/disruptions/)."""

EVICTED_BY_KUBELET = "kubelet evicted the pod"
"""Prefix of the message of an attempt evicted for its own resource usage, which the Job counts as a failure."""


@dataclass(frozen=True, slots=True)
class StartProblem:
    """What keeps work from starting or continuing; it may still resolve."""

    reason: str
    message: str
    hint: str

    @property
    def in_words(self) -> str:
        """Reason, message and hint as one text."""
        return f"{self.reason}: {self.message.rstrip('.')}. {self.hint}"


@dataclass(frozen=True, slots=True)
class PodCreateFailure:
    """A refusal of the API server to let the Job controller create a pod."""

    at: datetime
    message: str


IMAGE_HINT = "Check the image's name and tag in the LongTaskTemplate, and that the node may pull it."
IMAGE_NOT_FOUND_HINT = "Push the image, or correct its name and tag in the LongTaskTemplate."
IMAGE_DENIED_HINT = "Name a Secret that may pull it in podTemplate.spec.imagePullSecrets, or correct the image's name."
REGISTRY_HINT = "The node cannot reach the image's registry: check its name, and the node's DNS and way out."
IMAGE_NEVER_HINT = "Load the image onto the node, or set imagePullPolicy: IfNotPresent in the LongTaskTemplate."
CONFIG_HINT = "Create the missing ConfigMap, Secret or key in the task namespace, or correct the LongTaskTemplate."
USER_HINT = "Set securityContext.runAsUser in the LongTaskTemplate to a user other than 0."
UNSCHEDULABLE_HINT = "Ask for less CPU, memory or GPU in the LongTaskTemplate, or add a node that fits."
PLACEMENT_HINT = (
    "Correct nodeSelector, affinity or tolerations in the LongTaskTemplate, or label a node so that it fits."
)
VOLUME_HINT = (
    "Create the PersistentVolumeClaim in the task namespace, or see why it is not bound: "
    "kubectl describe pvc -n NAMESPACE."
)
QUOTA_HINT = "Wait for other tasks to end, or raise the namespace's ResourceQuota."
NO_RESOURCES_HINT = (
    "Set resources.requests and resources.limits in the LongTaskTemplate: the namespace's quota wants them."
)
COMMAND_HINT = "Check that the command exists in the image, is on its PATH and may be run by the pod's user."
POD_SECURITY_HINT = "Add the securityContext that the namespace's Pod Security level asks for to the LongTaskTemplate."
GATES_HINT = "Whoever set the gates takes them away: a queue or a quota. See podTemplate.spec.schedulingGates."
SIDECAR_HINT = "Correct the sidecar in the LongTaskTemplate: the work starts once it runs."
PROBE_HINT = "Correct the probe in the LongTaskTemplate, or give it more time: timeoutSeconds, failureThreshold."
HOOK_HINT = "Correct lifecycle.postStart in the LongTaskTemplate; what it prints is in no log."
EVENT_HINT = "See what is told of the pod: kubectl get events -n NAMESPACE, with the task's namespace."
TEMPLATE_HINT = "Correct the LongTaskTemplate."

CONTAINER_LOST = "ContainerStatusUnknown"
"""Termination reason with which kubelet reports a container that it no longer knows."""
NOT_THE_WORKS_WORDS = (CONTAINER_LOST, "StartError", "ContainerCannotRun")
"""Termination reasons for which the message comes from kubelet or the container runtime, not from the work."""
STOPPED = "LongTask stopped the attempt, as the time that it had then was over"
"""Used if the task was given more time since, or if its Job is gone and no pod of it started in time."""
LOG_HINT = "The log tail shows what happened; correct it and start again."
SILENT_HINT = (
    "It wrote nothing to its log: let it write what it does and why it stops, to stdout or stderr, and start again."
)
STALLED_AND_SILENT_HINT = (
    "It wrote nothing to its log: let it write what it does. If it works but tells seldom: report progress or send "
    "heartbeats more often, or raise stall.timeoutSeconds in the LongTaskTemplate."
)
STALLED_HINT = (
    "See in the log tail where it hangs. If it works but tells seldom: report progress or send heartbeats more often, "
    "or raise stall.timeoutSeconds in the LongTaskTemplate."
)
LEFT_WITH_0_HINT = (
    "Start it again. Work that is asked to leave says with a result that it is done, and leaves with another code "
    "than 0 where it is not."
)
_LEAVING = {
    "Evicted": "was being evicted",
    "Preempted": "was being preempted",
    "NodeLost": "was being removed with its node",
    "Deleted": "was being deleted",
}
_END_HINTS = {
    126: COMMAND_HINT,
    127: COMMAND_HINT,
    128: COMMAND_HINT,
    128
    + signal.SIGKILL: "Something killed it at once. Often that is memory: a child process that is killed for it is not "
    "told as OOMKilled. Raise resources.limits.memory in the LongTaskTemplate, or start it with less to do.",
    128
    + signal.SIGBUS: "Shared memory was full, most likely: /dev/shm has 64Mi in a pod, and data loaders with worker "
    "processes use it. Mount an emptyDir with medium: Memory at /dev/shm in the LongTaskTemplate.",
    128 + signal.SIGSEGV: "Native code crashed. In Python, PYTHONFAULTHANDLER=1 in the LongTaskTemplate shows where.",
    128 + signal.SIGTERM: "It was asked to stop and did. Start it again.",
}

_WAITING = {
    "ImagePullBackOff": ("ImagePullBackOff", IMAGE_HINT),
    "ErrImagePull": ("ImagePullBackOff", IMAGE_HINT),
    "ErrImageNeverPull": ("ErrImageNeverPull", IMAGE_NEVER_HINT),
    "InvalidImageName": ("InvalidImageName", IMAGE_HINT),
    "CreateContainerConfigError": ("CreateContainerConfigError", CONFIG_HINT),
    "CreateContainerError": ("CreateContainerError", "Check command and securityContext in the LongTaskTemplate."),
    "RunContainerError": ("RunContainerError", COMMAND_HINT),
}
_IMAGE_CAUSES = (
    (r"unauthorized|authorization failed|access denied|forbidden|no basic auth", IMAGE_DENIED_HINT),
    (r"not found|manifest unknown|does not exist", IMAGE_NOT_FOUND_HINT),
    (r"no such host|connection refused|timeout|timed out|unreachable|no route|certificate", REGISTRY_HINT),
)
_CONFIG_CAUSES = ((r"runasuser|non-root|runasnonroot|non-numeric user", USER_HINT),)
_EVENT_CAUSES = ((r"(secret|configmap|persistentvolumeclaim).*not found", CONFIG_HINT),)
_UNSCHEDULABLE_CAUSES = (
    (r"persistentvolumeclaim|volume", VOLUME_HINT),
    (r"insufficient|too many pods", UNSCHEDULABLE_HINT),
    (r"affinity|selector|taint", PLACEMENT_HINT),
)
"""Patterns for messages of kubelet and scheduler in lower case, with their hints; the first match counts."""


def not_starting(pod: PodSnapshot, events: Sequence[PodEvent] = ()) -> StartProblem | None:
    """What keeps the next container of a pod from starting; None while nothing is wrong. Events are considered last,
    because they may be outdated."""
    if pod.unschedulable is not None:
        hint = _hint(_UNSCHEDULABLE_CAUSES, pod.unschedulable, UNSCHEDULABLE_HINT)
        return StartProblem("Unschedulable", f"no node takes the pod: {pod.unschedulable}", hint)
    if pod.gates:
        return StartProblem(
            "SchedulingGated", f"scheduling gates hold the pod back: {', '.join(pod.gates)}", GATES_HINT
        )
    work = _waiting("the container", pod.waiting_reason, pod.waiting_message)
    others = (_not_starting(each) for each in pod.others)
    first = next((problem for problem in (*others, work) if problem is not None), None)
    return first or _newest_warning(pod, events)


def not_starting_beside(pod: PodSnapshot) -> StartProblem | None:
    """What keeps a container beside the work from starting; None if nothing does."""
    problems = (_not_starting(each) for each in pod.of_kind("beside"))
    return next((problem for problem in problems if problem is not None), None)


def _not_starting(container: ContainerSnapshot) -> StartProblem | None:
    name = f"{_KINDS[container.kind]} {container.name}"
    ended = container.last_termination or container.termination
    if container.kind == "sidecar" and ended is not None and ended.exit_code != 0:
        told = failure_sentence.own_message(ended.message, None)
        return StartProblem(
            "CrashLoopBackOff", f"{name} ends again and again: {_how(ended)}{f': {told}' if told else ''}", SIDECAR_HINT
        )
    return _waiting(name, container.waiting_reason, container.waiting_message)


_KINDS = {"init": "init container", "sidecar": "sidecar", "beside": "container"}


def _waiting(name: str, reason: str | None, message: str) -> StartProblem | None:
    if reason not in _WAITING:
        return None
    word, hint = _WAITING[reason]
    # Failed pulls and back-off alternate; without the prefix both give the same message.
    message = re.sub(r'^Back-off pulling image "[^"]*": \w+: ', "", message)
    if hint == IMAGE_HINT:
        hint = _hint(_IMAGE_CAUSES, message, IMAGE_HINT)
    elif hint == CONFIG_HINT:
        hint = _hint(_CONFIG_CAUSES, message, CONFIG_HINT)
    return StartProblem(word, f"{name} cannot start: {message or reason}", hint)


def _newest_warning(pod: PodSnapshot, events: Sequence[PodEvent]) -> StartProblem | None:
    """The newest warning since the pod's next container was due to start, but not an outdated FailedScheduling."""
    told = [event for event in events if event.warning and event.at >= pod.waits_since]
    news = max(
        (event for event in told if event.reason != "FailedScheduling"), key=lambda event: event.at, default=None
    )
    if news is None:
        return None
    probe = _probe(news)
    if probe is not None:
        return StartProblem(f"{probe}ProbeFailed", f"{news.container} is not ready: {news.message}", PROBE_HINT)
    if news.reason == POST_START:
        return StartProblem("PostStartHookFailed", f"kubelet ended the work: {news.message}", HOOK_HINT)
    hint = _hint(_EVENT_CAUSES, news.message, EVENT_HINT)
    return StartProblem(_one_word(news.reason), f"the pod cannot start: {news.message}", hint)


def may_be_ended_by_kubelet(pod: PodSnapshot) -> bool:
    """Whether kubelet may have ended the work for a probe or a postStart hook; only Events can confirm it."""
    return pod.probed and pod.termination is not None and _taken(pod, False) is None


def ended_by_kubelet(pod: PodSnapshot, events: Sequence[PodEvent]) -> StartProblem | None:
    """The probe or hook for which kubelet ended the work, with kubelet's message; None if the Events show none."""
    if pod.termination is None:
        return None
    told = [event for event in events if event.container == pod.container]
    hook = next((event for event in told if event.reason == POST_START), None)
    if hook is not None:
        return StartProblem("PostStartHookFailed", f"kubelet ended the work: {hook.message}", HOOK_HINT)
    probes = [event for event in told if _probe(event) is not None]
    failed = max(probes, key=lambda event: event.at, default=None)
    if failed is None:
        return None
    # Work that handles the signal exits with a code of its own; then a Killing Event must follow the failed probe.
    # It does not always name the cause, but any other cause is visible on the pod.
    killed = any(event.reason == "Killing" and event.at >= failed.at for event in told)
    if pod.termination.signal is None and not killed:
        return None
    return StartProblem(f"{_probe(failed)}ProbeFailed", f"kubelet ended the work: {failed.message}", PROBE_HINT)


def _probe(event: PodEvent) -> str | None:
    """Which probe failed; kubelet writes `Liveness probe failed: ...` or `Liveness probe errored and ...: ...`."""
    found = re.match(r"(Startup|Liveness) probe (?:failed|errored)", event.message)
    return found[1] if found else None


POST_START = "FailedPostStartHook"
"""Reason of the Event. Until the hook has finished, kubelet reports the container as waiting."""


def _hint(causes: Sequence[tuple[str, str]], message: str, otherwise: str) -> str:
    return next((hint for pattern, hint in causes if re.search(pattern, message.lower())), otherwise)


def not_created(refusals: Sequence[PodCreateFailure], since: datetime) -> StartProblem | None:
    """Why the Job controller could not create a pod, from the newest refusal; None if that is older than `since`."""
    newest = max(refusals, key=lambda refusal: refusal.at, default=None)
    if newest is None or newest.at < since:
        return None
    message = _without_what_changes(newest.message)
    if "violates PodSecurity" in message:
        return StartProblem("PodSecurityViolation", f"the namespace refuses the pod: {message}", POD_SECURITY_HINT)
    if "exceeded quota" in message:
        return StartProblem("QuotaExceeded", f"the namespace refuses the pod: {message}", QUOTA_HINT)
    if "must specify" in message:
        return StartProblem("QuotaExceeded", f"the namespace refuses the pod: {message}", NO_RESOURCES_HINT)
    return StartProblem("PodRefused", f"the pod could not be created: {message}", TEMPLATE_HINT)


def _without_what_changes(message: str) -> str:
    """The message without the pod's name and the quota's current usage, which would differ at each retry."""
    message = re.sub(r'pods "[^"]*" is forbidden', "the pod is forbidden", message)
    return re.sub(r"used: .*?, (?=limited: )", "", message)


def lost_node(pod: PodSnapshot) -> StartProblem:
    """The problem of a pod that should have ended while its node does not report so."""
    return StartProblem(
        "NodeLost",
        f"node {pod.node} does not answer, so it is not known whether pod {pod.name} still works; "
        "nothing is started beside it",
        f"Bring the node back, or delete it (kubectl delete node {pod.node}), or taint it "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute: then the next attempt starts.",
    )


def attempt_reason(
    pod: PodSnapshot, *, done: bool, suspended: bool = False, stalled: bool = False, cancelled: bool = False
) -> str | None:
    """One-word reason why the attempt ended; None while it runs. `done`: its work is done; `stalled`: it was stopped
    for a stall; `cancelled`: the task was cancelled, so a stop of the pod is not its own deadline."""
    ended = pod.decisive_termination
    if not pod.ended and ended is None:
        return None
    if done:
        return "Completed"
    if suspended and pod.deleted is not None:
        return "Suspended"
    if ended is not None and ended.reason == "OOMKilled":
        return "OOMKilled"
    if stalled:
        return STALLED
    taken = _taken(pod, cancelled)
    if taken is not None:
        return taken
    if pod.ended_by_kubelet:
        return pod.ended_by_kubelet
    if ended is not None:
        return _one_word(ended.reason)
    return "Deleted" if pod.gone else "Error"


def _taken(pod: PodSnapshot, cancelled: bool) -> str | None:
    """One-word reason if the pod was ended from outside; None if its containers ended on their own."""
    if cancelled and (_was_stopped(pod) or (pod.deleted is not None and pod.disruption is None)):
        return "Cancelled"
    if pod.disruption is not None:
        return DISRUPTIONS.get(pod.disruption, "Disrupted")
    if pod.reason:
        return _one_word(pod.reason)
    killed = pod.termination is not None and pod.termination.signal in (signal.SIGKILL, signal.SIGTERM)
    return "Deleted" if pod.deleted is not None and (killed or not pod.left_by_itself) else None


def _was_stopped(pod: PodSnapshot) -> bool:
    """Whether LongTask stopped the pod. No useful template sets a deadline of 1 second itself."""
    return pod.deadline == 1 and pod.reason == "DeadlineExceeded"


def _one_word(reason: str) -> str:
    """The reason in the format of a condition's reason; kubelet also reports ones like `OutOfnvidia.com/gpu`."""
    word = re.sub(r"[^A-Za-z0-9]", "", reason)[:64]
    return word if word[:1].isalpha() else "Error"


def failure(
    job: JobSnapshot,
    pod: PodSnapshot | None,
    log: str | None,
    *,
    last: Attempt | None = None,
    total_deadline: Failure | None = None,
    stalled: str | None = None,
    memory: int | None = None,
    ended_by: StartProblem | None = None,
) -> Failure:
    """Why the Job failed.

    `last` is the attempt that it failed with, if only the record shows it. `total_deadline` is the failure to give if
    the operator stopped the work for its deadline, `stalled` the evidence if it stopped it for a stall. `memory` is the
    usage last reported, in bytes; `ended_by` the probe or hook for which kubelet ended the work.
    """
    if pod is None and last is not None:
        return _recorded(last, total_deadline)
    if pod is None:
        return Failure(
            reason=job.failed_reason or "JobFailed",
            message=job.failed_message or "the Job failed and none of its pods is left to say why",
            hint="Start it again; if it happens again, watch `kubectl get pods -n NAMESPACE -w` while it runs.",
        )
    ended = pod.decisive_termination
    lost = ended is not None and ended.reason in NOT_THE_WORKS_WORDS
    tail = log_tail(log if log else ended.message if ended and not lost else None)
    reason = attempt_reason(pod, done=False, stalled=stalled is not None) or "Error"
    told = failure_sentence.own_message(ended.message if ended else "", log)
    message, hint = _explain(reason, pod, ended, told, memory)
    if ended_by is not None:
        reason, message, hint = ended_by.reason, ended_by.message, ended_by.hint
    if reason == STALLED and stalled is not None:
        message, hint = stalled, _stalled_hint(tail)
    if reason == "DeadlineExceeded" and total_deadline is not None:
        message, hint = total_deadline.message, total_deadline.hint or ""
    if hint == LOG_HINT and tail is None:
        hint = "Start it again." if lost else SILENT_HINT
    if ended is not None and ended.reason == CONTAINER_LOST and tail is None:
        message = f"{message.rstrip('. ')}; its log is gone with its container"
    if ended is not None and ended.exit_code == 0:
        message = f"{message}; exit code 0 while its pod {_LEAVING.get(reason, 'was being ended')}, and no result"
        hint = LEFT_WITH_0_HINT if reason in _LEAVING else hint
    elif pod.failed_init is not None and ended is not None and reason != ended.reason:
        message = f"{message}; init container {pod.failed_init.name} still ran"
    return Failure(
        reason=reason,
        message=fitted(message),
        exit_code=ended.exit_code if ended else None,
        signal=ended.signal if ended else None,
        log_tail=tail,
        hint=hint,
    )


def _recorded(last: Attempt, total_deadline: Failure | None) -> Failure:
    if last.reason == "DeadlineExceeded" and total_deadline is not None:
        return total_deadline.model_copy(update={"exit_code": last.exit_code})
    message, hint = "somebody deleted the pod", "Its pod is gone, and the log with it. Start it again."
    if last.message:
        message = last.message
    elif last.exit_code is None:
        message = f"{message}, and nobody saw how its work ended"
        hint = "See whether the work was done before you start it again: it may have been."
    elif last.reason != "Deleted":
        message = f"exit code {last.exit_code}"
    return Failure(reason=last.reason or "Error", message=message, exit_code=last.exit_code, hint=hint)


def attempt_message(
    pod: PodSnapshot, reason: str | None, log: str | None, total_deadline: Failure | None = None
) -> str | None:
    """Sentence on why an attempt ended for this reason; None if reason and exit code say it all. `total_deadline` is
    the failure to give if the operator stopped it for that."""
    ended = pod.decisive_termination
    if reason in (None, "Completed", "Suspended", "Cancelled", "Deleted", STALLED):
        return None
    if ended is None and not pod.message:
        return None
    if reason == "DeadlineExceeded" and total_deadline is not None:
        return fitted(total_deadline.message, ATTEMPT_TEXT_LIMIT)
    message, _ = _explain(reason, pod, ended, failure_sentence.own_message(ended.message, log) if ended else "", None)
    return None if ended is not None and message == _how(ended) else fitted(message, ATTEMPT_TEXT_LIMIT)


def for_silence(evidence: str, log: str | None) -> Failure:
    """The failure of work without its Job that was ended for a stall."""
    return Failure(reason=STALLED, message=fitted(evidence), hint=_stalled_hint(log_tail(log)))


def _stalled_hint(tail: str | None) -> str:
    return STALLED_HINT if tail is not None else STALLED_AND_SILENT_HINT


def how_it_ended(pod: PodSnapshot, log: str | None) -> str:
    """How the pod's attempt ended, with the work's own message; empty if its end was not observed."""
    if _was_stopped(pod):
        return STOPPED
    ended = pod.decisive_termination
    if ended is None:
        return ""
    told = failure_sentence.own_message(ended.message, log)
    whose = f" when kubelet ended it ({pod.ended_by_kubelet})" if pod.ended_by_kubelet else ""
    return f"{_how(ended)}{whose}{f': {told}' if told else ''}"


def over_total_deadline(seconds: int, setting: str) -> Failure:
    """The failure of work that used up its `seconds` of active time; `setting` names the field to raise."""
    return Failure(
        reason="DeadlineExceeded",
        message=f"the work was active for longer than its activeDeadlineSeconds ({seconds} s)",
        hint=f"Give it less to do, or more time: {setting}.",
    )


def _explain(
    reason: str, pod: PodSnapshot, ended: Termination | None, told: str, memory: int | None
) -> tuple[str, str]:
    init = pod.failed_init
    if reason == "OOMKilled":
        memory_limit = init.memory_limit if init is not None else pod.memory_limit
        limit = f"limit {memory_limit}" if memory_limit else ""
        last = f"{memory / 2**20:.0f}Mi at the last report" if memory and _tells_of(memory, memory_limit) else ""
        known = "; ".join(each for each in (limit, last) if each)
        return (
            f"{_who(pod)} used more memory than it may have{f' ({known})' if known else ''}",
            "Start again with parameters that need less memory, or raise resources.limits.memory in the template.",
        )
    if reason == "DeadlineExceeded" and pod.deadline == 1:
        return (
            STOPPED,
            "Give it less to do, or start it again with more time: spec.activeDeadlineSeconds of the task.",
        )
    if reason == "DeadlineExceeded":
        return (
            f"the attempt took longer than the template's deadline for one attempt ({pod.deadline} s)",
            "Give it less to do, or raise podTemplate.spec.activeDeadlineSeconds in the LongTaskTemplate.",
        )
    if pod.disruption is None and pod.reason == "Evicted":
        return (
            f"{EVICTED_BY_KUBELET}: {pod.message or 'it used too much of the node'}",
            "The work used more local storage or memory than it may: raise limits or the emptyDir sizeLimit. It counts "
            "as a failure, not as a disruption: retry.limit in the LongTaskTemplate says how often it is tried again.",
        )
    if pod.disruption == "TerminationByKubelet":
        return (
            f"the node was short of something and its kubelet ended the pod: {pod.message or reason}",
            "Set resources.requests in the LongTaskTemplate to what the work really needs, and start it again.",
        )
    if reason in DISRUPTIONS.values():
        return (f"the pod was taken away by the cluster: {pod.message or reason}", "Start it again.")
    if reason == "Deleted":
        return ("somebody deleted the pod", "Start it again.")
    if ended is None:
        return (pod.message or "the pod failed", "Start it again.")
    how = _how(ended) if init is None else f"init container {init.name} failed: {_how(ended)}"
    return (f"{how}: {told}" if told else how, _END_HINTS.get(ended.exit_code, LOG_HINT))


_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def _tells_of(memory: int, limit: str | None) -> bool:
    """Whether that usage is at least half the limit; less does not explain an OOM kill: it has grown since."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(|[kMG]|[KMGT]i)", limit or "")
    return found is None or memory >= float(found[1]) * _UNITS[found[2]] / 2


def _who(pod: PodSnapshot) -> str:
    return "the work" if pod.failed_init is None else f"init container {pod.failed_init.name}"


def failed_beside(pod: PodSnapshot) -> str | None:
    """How containers beside work that is done have failed; None if none did."""
    failed = [each for each in pod.of_kind("beside") if each.termination and each.termination.exit_code]
    return "; ".join(_beside(pod, each, each.termination) for each in failed if each.termination) or None


def _beside(pod: PodSnapshot, container: ContainerSnapshot, ended: Termination) -> str:
    if pod.reason or pod.deleted is not None:
        return f"container {container.name} still ran and was ended with the pod"
    if ended.reason == "OOMKilled":
        return f"container {container.name} used more memory than it may have (limit {container.memory_limit})"
    told = failure_sentence.own_message(ended.message, None)
    return f"container {container.name} failed: {_how(ended)}{f': {told}' if told else ''}"


def _how(ended: Termination) -> str:
    if ended.signal is None:
        return f"exit code {ended.exit_code}"
    try:
        name = signal.Signals(ended.signal).name
    except ValueError:
        name = f"signal {ended.signal}"
    return f"killed by {name} (exit code {ended.exit_code})"


def fitted(text: str, limit: int = TEXT_LIMIT) -> str:
    """The text within `limit` characters: in a longer one the middle is replaced by a mark."""
    if len(text) <= limit:
        return text
    half = limit // 2 - 4
    return f"{text[:half]} [...] {text[-half:]}"


def log_tail(log: str | None, limit: int = LOG_TAIL_LIMIT) -> str | None:
    """The last whole lines of the log within `limit` characters; None if the log is empty."""
    if log is None or not log.strip():
        return None
    text = log.rstrip()
    if len(text) <= limit:
        return text
    start = len(text) - limit
    newline = text.find("\n", start - 1)
    return text[newline + 1 :] if newline >= 0 else text[start:]
