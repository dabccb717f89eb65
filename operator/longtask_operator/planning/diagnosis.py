"""Why a pod does not start, or why it failed, in words that a person or an agent can act on. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from longtask_api.longtask import Failure
from longtask_operator.planning.observed import JobView, PodView

LOG_TAIL_LIMIT = 8192
TEXT_LIMIT = 4096
"""Characters; the CRD's limits of a log tail and of a message."""

DISRUPTIONS = {
    "EvictionByEvictionAPI": "Evicted",
    "PreemptionByScheduler": "Preempted",
    "DeletionByTaintManager": "NodeLost",
    "DeletionByPodGC": "NodeLost",
    "TerminationByKubelet": "Evicted",
}
"""Reasons of the DisruptionTarget condition (https://kubernetes.io/docs/concepts/workloads/pods/disruptions/)."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps work from starting or going on; it may still pass."""

    reason: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pod that the API server would not let the Job controller create."""

    at: datetime
    message: str


IMAGE_HINT = "Check the image's name and tag in the LongTaskTemplate, and that the node may pull it."
CONFIG_HINT = "Create the missing ConfigMap, Secret or key in the task namespace, or correct the LongTaskTemplate."
UNSCHEDULABLE_HINT = "Ask for less CPU, memory or GPU in the LongTaskTemplate, or add a node that fits."
QUOTA_HINT = "Wait for other tasks to end, or raise the namespace's ResourceQuota."
POD_SECURITY_HINT = "Add the securityContext that the namespace's Pod Security level asks for to the LongTaskTemplate."
TEMPLATE_HINT = "Correct the LongTaskTemplate."

_WAITING = {
    "ImagePullBackOff": ("ImagePullBackOff", IMAGE_HINT),
    "ErrImagePull": ("ImagePullBackOff", IMAGE_HINT),
    "ErrImageNeverPull": ("ErrImageNeverPull", IMAGE_HINT),
    "InvalidImageName": ("InvalidImageName", IMAGE_HINT),
    "CreateContainerConfigError": ("CreateContainerConfigError", CONFIG_HINT),
    "CreateContainerError": ("CreateContainerError", "Check command and securityContext in the LongTaskTemplate."),
    "RunContainerError": ("RunContainerError", "Check that the command exists in the image and may be run."),
}


def not_starting(pod: PodView) -> Trouble | None:
    """What keeps a pod that has not started from starting; None while nothing is wrong."""
    if pod.unschedulable is not None:
        return Trouble("Unschedulable", f"no node takes the pod: {pod.unschedulable}", UNSCHEDULABLE_HINT)
    if pod.waiting_reason in _WAITING:
        reason, hint = _WAITING[pod.waiting_reason]
        return Trouble(reason, f"the container cannot start: {pod.waiting_message or pod.waiting_reason}", hint)
    return None


def not_created(refusals: Sequence[Refusal], since: datetime) -> Trouble | None:
    """Why the Job controller could not create a pod, from the newest refusal that is not older than `since`."""
    newest = max(refusals, key=lambda refusal: refusal.at, default=None)
    if newest is None or newest.at < since:
        return None
    message = _without_what_changes(newest.message)
    if "violates PodSecurity" in message:
        return Trouble("PodSecurityViolation", f"the namespace refuses the pod: {message}", POD_SECURITY_HINT)
    if "exceeded quota" in message or "must specify limits" in message:
        return Trouble("QuotaExceeded", f"the namespace refuses the pod: {message}", QUOTA_HINT)
    return Trouble("PodRefused", f"the pod could not be created: {message}", TEMPLATE_HINT)


def _without_what_changes(message: str) -> str:
    """The refusal without the name of the pod and what others use of the quota: each try would be news otherwise."""
    message = re.sub(r'pods "[^"]*" is forbidden', "the pod is forbidden", message)
    return re.sub(r"used: .*?, (?=limited: )", "", message)


def lost_node(pod: PodView) -> Trouble:
    """A pod that should have ended but whose node does not say so."""
    return Trouble(
        "NodeLost",
        f"node {pod.node} does not answer, so it is not known whether pod {pod.name} still works; "
        "nothing is started beside it",
        f"Bring the node back, or delete it (kubectl delete node {pod.node}), or taint it "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute: then the next attempt starts.",
    )


def attempt_reason(pod: PodView, *, suspended: bool) -> str | None:
    """Why the attempt ended, in one word; None while it goes on."""
    if not pod.ended and pod.termination is None:
        return None
    if suspended and pod.deleted is not None:
        return "Suspended"
    if pod.phase == "Succeeded" or (pod.termination is not None and pod.termination.exit_code == 0 and not pod.reason):
        return "Completed"
    if pod.termination is not None and pod.termination.reason == "OOMKilled":
        return "OOMKilled"
    if pod.disruption is not None:
        return DISRUPTIONS.get(pod.disruption, "Disrupted")
    if pod.reason:
        return _one_word(pod.reason)
    if pod.termination is not None:
        return _one_word(pod.termination.reason)
    return "Deleted" if pod.gone else "Error"


def _one_word(reason: str) -> str:
    """The reason as a condition takes it; kubelet also says things like `OutOfnvidia.com/gpu`."""
    word = re.sub(r"[^A-Za-z0-9]", "", reason)[:64]
    return word if word[:1].isalpha() else "Error"


def failure(job: JobView, pod: PodView | None, log: str | None, *, total_deadline: int | None) -> Failure:
    """Why the Job failed. `total_deadline` is the limit in seconds when the operator stopped the work for it."""
    if pod is None:
        return Failure(
            reason=job.failed_reason or "JobFailed",
            message=job.failed_message or "the Job failed and none of its pods is left to say why",
            hint="Start it again; if it happens again, watch `kubectl get pods -w` while it runs.",
        )
    ended = pod.termination
    tail = log_tail(log if log else ended.message if ended else None)
    reason = attempt_reason(pod, suspended=False) or "Error"
    told = _last_words(ended.message if ended else "", log)
    message, hint = _explain(reason, pod, told)
    if reason == "DeadlineExceeded" and total_deadline is not None:
        over = over_total_deadline(total_deadline)
        message, hint = over.message, over.hint or ""
    return Failure(
        reason=reason,
        message=fitted(message),
        exit_code=ended.exit_code if ended else None,
        signal=ended.signal if ended else None,
        log_tail=tail,
        hint=hint,
    )


def _last_words(message: str, log: str | None) -> str:
    """What the work said of its end: its own termination message, else the last line of its log."""
    own = message.strip()
    if own and log and own not in log:
        return own
    lines = (log or own).rstrip().splitlines()
    return lines[-1].strip() if lines else ""


def over_total_deadline(seconds: int) -> Failure:
    """The work has used up the active time it may have over all attempts."""
    return Failure(
        reason="DeadlineExceeded",
        message=f"the work was active for longer than its activeDeadlineSeconds ({seconds} s)",
        hint="Give it less to do, or more time: activeDeadlineSeconds of the LongTaskTemplate.",
    )


def _explain(reason: str, pod: PodView, told: str) -> tuple[str, str]:
    ended = pod.termination
    if reason == "OOMKilled":
        limit = f" (limit {pod.memory_limit})" if pod.memory_limit else ""
        return (
            f"the work used more memory than it may have{limit}",
            "Start again with parameters that need less memory, or raise resources.limits.memory in the template.",
        )
    if reason == "DeadlineExceeded":
        return (
            f"the attempt took longer than the template's deadline for one attempt ({pod.deadline} s)",
            "Give it less to do, or raise podTemplate.spec.activeDeadlineSeconds in the LongTaskTemplate.",
        )
    if pod.disruption is None and pod.reason == "Evicted":
        return (
            f"kubelet evicted the pod: {pod.message or 'it used too much of the node'}",
            "The work used more local storage or memory than it may: raise limits or the emptyDir sizeLimit.",
        )
    if reason in DISRUPTIONS.values():
        return (f"the pod was taken away by the cluster: {pod.message or reason}", "Start it again.")
    if reason == "Deleted":
        return ("somebody deleted the pod", "Start it again.")
    if pod.failed_init_container is not None:
        return (f"init container {pod.failed_init_container} failed", "See its log with kubectl logs.")
    if ended is None:
        return (pod.message or "the pod failed", "Start it again.")
    how = f"killed by signal {ended.signal}" if ended.signal else f"exit code {ended.exit_code}"
    return (f"{how}: {told}" if told else how, "The log tail shows what happened; correct it and start again.")


def fitted(text: str) -> str:
    """The text as a status field takes it: where it is too long the middle goes, and a mark says so."""
    if len(text) <= TEXT_LIMIT:
        return text
    half = TEXT_LIMIT // 2 - 4
    return f"{text[:half]} [...] {text[-half:]}"


def log_tail(log: str | None) -> str | None:
    """The last whole lines of the log that fit the status field."""
    if log is None or not log.strip():
        return None
    text = log.rstrip()
    if len(text) <= LOG_TAIL_LIMIT:
        return text
    cut = text[-LOG_TAIL_LIMIT:]
    newline = cut.find("\n")
    return cut[newline + 1 :] if 0 <= newline < len(cut) - 1 else cut
