"""Plans for a task that has no Job yet: it is refused, waits for its template or its turn, or gets its Job."""

from dataclasses import replace
from datetime import datetime, timedelta

from longtask_api import constants
from longtask_api.conditions import Condition, find
from longtask_api.longtask import ConditionType, Failure, JobRef, LongTask, LongTaskStatus, Phase
from longtask_api.template import LongTaskTemplate, TemplateConditionType
from longtask_operator.planning import task_status
from longtask_operator.planning.actions import CreateJob, Plan, TakeCheckpoint
from longtask_operator.planning.build_job import build_job, take_snapshot
from longtask_operator.planning.failure_reasons import StartProblem, fitted
from longtask_operator.planning.pod_selection import newest
from longtask_operator.planning.policy import LOOK_AGAIN, QUIET, ROOM_AGAIN, TEMPLATE_WAIT
from longtask_operator.planning.rerun import resumable, wants_checkpoint
from longtask_operator.planning.snapshots import PodSnapshot
from longtask_operator.planning.state import TaskState
from longtask_operator.planning.stopping import delete_pods, silent_node
from longtask_operator.planning.task_events import TEMPLATE_NOT_CHECKED


def pending_plan(state: TaskState) -> Plan:
    """Plan for a task that has neither a Job nor status.jobRef."""
    task, template = state.task, state.template
    status = task_status.with_generation(state, task.status)
    left_behind = [pod for pod in state.pods if not pod.ended]
    if left_behind:
        return _waits_for_the_end_of(state, status, left_behind)
    if task.spec.cancel_requested:
        failure = task_status.cancelled("before it started")
        return task_status.terminal(state, _with_terms(state, status), Phase.CANCELLED, failure=failure, at=state.now)
    if task.is_record:
        return _record(state, status)
    if wants_checkpoint(task):
        return _takes_checkpoint(state, status)
    if template is None or not template.is_ready:
        return _wait_for_template(state, status)
    refused = _too_long(task, template) or (state.parameters if isinstance(state.parameters, Failure) else None)
    if refused is not None:
        return _refused(state, status, refused)
    if state.crowded:
        return _crowded(state, status)
    if state.parameters is None or isinstance(state.parameters, Failure):
        return Plan(task.status, look_again=state.now + LOOK_AGAIN)
    if state.job_refused is not None:
        return _job_refused(state, status, template, state.job_refused)
    snapshot = take_snapshot(template)
    job = build_job(task, template, snapshot, state.parameters, state.policy.report_url)
    return Plan(task.status, (CreateJob(job),))


def bound(state: TaskState) -> TaskState:
    """Set status.jobRef from an orphaned pod that has started, if its Job was deleted before status.jobRef was written.

    This keeps the work from being started twice. The Job's snapshot is lost; the current template's is used instead.
    """
    task, begun = state.task, newest(pod for pod in state.pods if pod.started is not None)
    if begun is None or task.status.job_ref is not None:
        return state
    job = JobRef(name=constants.job_name(task.metadata.name, task.metadata.uid), uid=begun.job_uid)
    snapshot = take_snapshot(state.template) if state.template is not None else None
    status = task.status.model_copy(update={"job_ref": job, "template_snapshot": snapshot})
    status = task_status.with_condition(state, status, ConditionType.ACCEPTED, "True", "Accepted", "")
    return replace(state, task=task.model_copy(update={"status": status}))


def _waits_for_the_end_of(state: TaskState, status: LongTaskStatus, pods: list[PodSnapshot]) -> Plan:
    """Delete pods of a Job that was deleted before status.jobRef was written, and wait until they have ended.

    None of them has started.
    """
    problem = silent_node(state.now, pods)
    message = problem.in_words if problem else f"waiting for pod {pods[0].name} to end, which its Job has left behind"
    status = task_status.in_progress(state, status, Phase.PENDING, message, problem)
    return Plan(status, delete_pods(pods), look_again=state.now + LOOK_AGAIN)


def _record(state: TaskState, status: LongTaskStatus) -> Plan:
    problem = StartProblem(
        "Record",
        f"annotation {constants.ANNOTATION_RECORD} says that it was restored from a backup: it is never started",
        "Restore its status too, or remove the annotation to have the work done.",
    )
    status = task_status.with_condition(
        state, status, ConditionType.ACCEPTED, "Unknown", problem.reason, problem.message
    )
    return Plan(task_status.in_progress(state, status, Phase.PENDING, problem.message, problem))


def _too_long(task: LongTask, template: LongTaskTemplate) -> Failure | None:
    maximum, wanted = template.spec.max_active_deadline_seconds, task.spec.active_deadline_seconds
    if maximum is None or wanted is None or wanted <= maximum:
        return None
    return Failure(
        reason="InvalidDeadline",
        message=f"spec.activeDeadlineSeconds is {wanted}; the template allows {maximum} at most",
        hint="Create the task again with less.",
    )


def _takes_checkpoint(state: TaskState, status: LongTaskStatus) -> Plan:
    earlier, problem = resumable(state.task, state.earlier), state.checkpoint_problem
    if isinstance(earlier, StartProblem):
        return _given_up(state, status, earlier)
    if problem is None:
        return Plan(state.task.status, (TakeCheckpoint(earlier),))
    if state.checkpoint_lost:
        return _given_up(state, status, problem)
    status, _ = _not_accepted_yet(state, status, problem)
    waiting = task_status.in_progress(state, status, Phase.PENDING, f"waiting: {problem.message}", problem)
    return Plan(waiting, look_again=state.now + LOOK_AGAIN)


def _crowded(state: TaskState, status: LongTaskStatus) -> Plan:
    problem = StartProblem(
        "TooManyTasks",
        f"{state.policy.max_active} tasks of this requester are at work, and no more may be",
        "It starts when one of them has ended; the limit is operator.maxActiveTasksPerRequester in the chart's values.",
    )
    status, _ = _not_accepted_yet(state, status, problem)
    waiting = task_status.in_progress(state, status, Phase.QUEUED, f"waiting: {problem.message}", problem)
    return Plan(waiting, look_again=state.now + ROOM_AGAIN)


def _wait_for_template(state: TaskState, status: LongTaskStatus) -> Plan:
    name, namespace = state.task.spec.template_ref.name, state.task.metadata.namespace
    template = state.template
    checked = _checked(template) if template is not None else None
    if template is None:
        hint = f"Apply the LongTaskTemplate, or choose one from `kubectl get longtasktemplates -n {namespace}`."
        problem = StartProblem("TemplateNotFound", f"LongTaskTemplate {name} does not exist", hint)
    elif checked is None:
        problem = StartProblem(
            TEMPLATE_NOT_CHECKED, f"LongTaskTemplate {name} is not Ready: not checked yet", "It is checked in a moment."
        )
    else:
        hint = f"Correct it: kubectl describe longtasktemplate {name} -n {namespace}."
        problem = StartProblem("TemplateNotReady", f"LongTaskTemplate {name} is not Ready: {checked.message}", hint)
    waiting, since = _not_accepted_yet(state, status, problem)
    if checked is not None:
        since = max(task_status.created(state), checked.last_transition_time)
    give_up = None if template is not None and checked is None else since + TEMPLATE_WAIT
    if give_up is not None and state.now >= give_up:
        return _given_up(state, status, problem)
    waiting = task_status.in_progress(state, waiting, Phase.PENDING, f"waiting: {problem.message}", problem)
    quiet_until = task_status.created(state) + QUIET
    quiet = state.now < quiet_until
    return Plan(waiting, look_again=quiet_until if quiet else give_up or state.now + LOOK_AGAIN, defer_status=quiet)


def _checked(template: LongTaskTemplate) -> Condition | None:
    """The Ready condition of the template's current generation; None if it has not been checked yet."""
    if template.status.observed_generation != template.metadata.generation:
        return None
    return find(template.status.conditions, TemplateConditionType.READY)


def _job_refused(state: TaskState, status: LongTaskStatus, template: LongTaskTemplate, problem: StartProblem) -> Plan:
    waiting, since = _not_accepted_yet(state, status, problem)
    give_up = since + timedelta(seconds=template.spec.start_timeout_seconds)
    if state.job_refused_for_good or state.now >= give_up:
        return _given_up(state, status, problem)
    return Plan(
        task_status.in_progress(state, waiting, Phase.PENDING, problem.in_words, problem),
        look_again=min(give_up, state.now + LOOK_AGAIN),
    )


def _not_accepted_yet(
    state: TaskState, status: LongTaskStatus, problem: StartProblem
) -> tuple[LongTaskStatus, datetime]:
    """The status with Accepted=Unknown for this problem, and since when the task has waited for this reason.

    A different reason replaces the condition, so that time spent waiting for something else does not count.
    """
    known = find(status.conditions, ConditionType.ACCEPTED)
    if known is not None and known.reason != problem.reason:
        others = [each for each in status.conditions if each.type != ConditionType.ACCEPTED]
        status, known = status.model_copy(update={"conditions": others}), None
    status = task_status.with_condition(
        state, status, ConditionType.ACCEPTED, "Unknown", problem.reason, problem.message
    )
    return status, known.last_transition_time if known is not None else state.now


def _given_up(state: TaskState, status: LongTaskStatus, problem: StartProblem) -> Plan:
    return _refused(state, status, Failure(reason=problem.reason, message=fitted(problem.message), hint=problem.hint))


def _refused(state: TaskState, status: LongTaskStatus, failure: Failure) -> Plan:
    status = task_status.with_condition(state, status, ConditionType.ACCEPTED, "False", failure.reason, failure.message)
    return task_status.terminal(state, _with_terms(state, status), Phase.FAILED, failure=failure, at=state.now)


def _with_terms(state: TaskState, status: LongTaskStatus) -> LongTaskStatus:
    """The status of a task that ends before its start, with the terms of its template: who is notified, how long the
    task is kept.
    """
    terms = take_snapshot(state.template) if state.template is not None else None
    return status.model_copy(update={"template_snapshot": terms})
