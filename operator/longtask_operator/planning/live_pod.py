"""Plans for running work, with or without its Job."""

from datetime import datetime

from longtask_api.conditions import Condition
from longtask_api.longtask import Attempt, ConditionType, LongTaskStatus, Phase, StallAction, StallPolicy
from longtask_operator.planning import questions, stall, task_status
from longtask_operator.planning.actions import Action, Plan
from longtask_operator.planning.policy import LOOK_AGAIN, NEXT_STEP, QUIET
from longtask_operator.planning.snapshots import PodSnapshot
from longtask_operator.planning.state import TaskState


def continue_work(
    state: TaskState,
    status: LongTaskStatus,
    policy: StallPolicy | None,
    message: str,
    pod: PodSnapshot,
    end: tuple[Action, ...],
) -> Plan:
    """Plan for work that runs in the pod: it is running, waits for an answer, or has stalled.

    `end` has the actions that end a stalled attempt, if the policy says so.
    """
    stalled = stall.in_force(status, policy, pod) if policy is not None else None
    if policy is not None and stalled is not None and stall.is_decided(stalled, policy, pod):
        # The decision is stored: its write (optimistic lock) would have conflicted with a report not seen yet.
        stopping = task_status.in_progress(state, status, Phase.RUNNING, _ending(stalled.message))
        return Plan(stopping, end, look_again=state.now + LOOK_AGAIN)
    asked = questions.open_questions(state.task, state.now)
    if asked:
        if policy is not None:
            status = task_status.with_condition(state, status, ConditionType.STALLED, "Unknown", "WaitingForInput", "")
        waiting = task_status.in_progress(state, status, Phase.WAITING_FOR_INPUT, questions.in_words(asked))
        return Plan(waiting, look_again=questions.first_expiry(asked))
    if policy is None:
        return Plan(task_status.in_progress(state, status, Phase.RUNNING, message))
    if stalled is not None:
        return _still_silent(state, status, policy, stalled, message)
    return _watched(state, status, policy, pod, message)


def _watched(state: TaskState, status: LongTaskStatus, policy: StallPolicy, pod: PodSnapshot, message: str) -> Plan:
    """Plan for work that has to report within the stall timeout."""
    status = task_status.with_condition_if_set(state, status, ConditionType.STALLED, "False", "Reporting")
    due = stall.due(status, policy, pod.running_since or state.now, state.attended)
    if due is None or state.now < due:
        return Plan(task_status.in_progress(state, status, Phase.RUNNING, message), look_again=due)
    evidence = stall.evidence(status, pod, state.usage, state.now)
    status = task_status.with_condition(state, status, ConditionType.STALLED, "True", stall.REASON, evidence)
    message = f"{message}, but stalled: {evidence}"
    return Plan(task_status.in_progress(state, status, Phase.RUNNING, message), look_again=state.now + NEXT_STEP)


def _still_silent(
    state: TaskState, status: LongTaskStatus, policy: StallPolicy, stalled: Condition, message: str
) -> Plan:
    """Plan for work that is marked as stalled; a report would clear that.

    If the policy acts, the decision is stored after a grace time in a separate write; its optimistic lock detects a
    report not seen yet.
    """
    message = f"{message}, but stalled: {stalled.message}"
    if policy.action is StallAction.NOTHING:
        return Plan(task_status.in_progress(state, status, Phase.RUNNING, message))
    decision = stall.decision_due(stalled, state.attended)
    if state.now < decision:
        return Plan(task_status.in_progress(state, status, Phase.RUNNING, message), look_again=decision)
    status = task_status.with_condition(state, status, ConditionType.STALLED, "True", stall.DECIDED, stalled.message)
    decided = task_status.in_progress(state, status, Phase.RUNNING, _ending(stalled.message))
    return Plan(decided, look_again=state.now + NEXT_STEP)


def _ending(evidence: str) -> str:
    return f"stalled: {evidence}; ending the attempt"


def settle_until(state: TaskState, last: Attempt | None) -> datetime | None:
    """Until when to defer the status after the attempt's container ended; None if there is nothing to wait for."""
    pod = next((pod for pod in state.pods if last is not None and pod.uid == last.pod_uid), None)
    if pod is None or pod.termination is None or pod.termination.finished is None:
        return None
    finished = pod.termination.finished
    wait = state.quiet if pod.termination.exit_code == 0 else QUIET
    return finished + wait if state.is_near(finished, wait) else None
