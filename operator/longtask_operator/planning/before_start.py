"""A task that has no Job yet: it is refused, waits for its template, or gets its Job."""

from dataclasses import replace
from datetime import datetime, timedelta

from longtask_api import names
from longtask_api.conditions import Condition, find
from longtask_api.longtask import ConditionType, Failure, JobRef, LongTaskStatus, Phase
from longtask_api.template import LongTaskTemplate, TemplateConditionType
from longtask_operator.planning import statuses
from longtask_operator.planning.build_job import build_job, take_snapshot
from longtask_operator.planning.diagnosis import Trouble, fitted
from longtask_operator.planning.narration import TEMPLATE_NOT_CHECKED
from longtask_operator.planning.observed import PodView, newest
from longtask_operator.planning.stopping import delete_pods, silent_node
from longtask_operator.planning.world import LOOK_AGAIN, QUIET, ROOM_AGAIN, TEMPLATE_WAIT, CreateJob, Plan, World


def before_start(world: World) -> Plan:
    task, template = world.task, world.template
    status = statuses.observed(world, task.status)
    left_behind = [pod for pod in world.pods if not pod.ended]
    if left_behind:
        return _waits_for_the_end_of(world, status, left_behind)
    if task.spec.cancel_requested:
        return statuses.ended(
            world, status, Phase.CANCELLED, failure=statuses.cancelled("before it started"), at=world.now
        )
    if task.is_record:
        return _record(world, status)
    if template is None or not template.is_ready:
        return _wait_for_template(world, status)
    maximum = template.spec.max_active_deadline_seconds
    wanted = task.spec.active_deadline_seconds
    if maximum is not None and wanted is not None and wanted > maximum:
        return _refused(
            world,
            status,
            Failure(
                reason="InvalidDeadline",
                message=f"spec.activeDeadlineSeconds is {wanted}; the template allows {maximum} at most",
                hint="Create the task again with less.",
            ),
        )
    if isinstance(world.parameters, Failure):
        return _refused(world, status, world.parameters)
    if world.crowded:
        return _crowded(world, status)
    if world.parameters is None:
        return Plan(task.status, look_again=world.now + LOOK_AGAIN)
    if world.job_refused is not None:
        return _job_refused(world, status, template, world.job_refused)
    snapshot = take_snapshot(template)
    job = build_job(task, template, snapshot, world.parameters, world.policy.report_url)
    return Plan(task.status, (CreateJob(job),))


def bound(world: World) -> World:
    """With the task bound to the Job whose pod has started, where that was deleted before the status could say that it
    was there: what has begun is not begun again. The terms went with the Job; those of the template come nearest."""
    task, begun = world.task, newest(pod for pod in world.pods if pod.started is not None)
    if begun is None or task.status.job_ref is not None:
        return world
    job = JobRef(name=names.job_name(task.metadata.name, task.metadata.uid), uid=begun.job_uid)
    snapshot = take_snapshot(world.template) if world.template is not None else None
    status = task.status.model_copy(update={"job_ref": job, "template_snapshot": snapshot})
    status = statuses.with_condition(world, status, ConditionType.ACCEPTED, "True", "Accepted", "")
    return replace(world, task=task.model_copy(update={"status": status}))


def _waits_for_the_end_of(world: World, status: LongTaskStatus, pods: list[PodView]) -> Plan:
    """Of a Job that was deleted before the status could say that it was there: none of them has started, and no other
    one works beside them."""
    trouble = silent_node(world.now, pods)
    message = trouble.in_words if trouble else f"waiting for pod {pods[0].name} to end, which its Job has left behind"
    status = statuses.unfinished(world, status, Phase.PENDING, message, trouble)
    return Plan(status, delete_pods(pods), look_again=world.now + LOOK_AGAIN)


def _record(world: World, status: LongTaskStatus) -> Plan:
    trouble = Trouble(
        "Record",
        f"annotation {names.ANNOTATION_RECORD} says that it was restored from a backup: it is never started",
        "Restore its status too, or remove the annotation to have the work done.",
    )
    status = statuses.with_condition(world, status, ConditionType.ACCEPTED, "Unknown", trouble.reason, trouble.message)
    return Plan(statuses.unfinished(world, status, Phase.PENDING, trouble.message, trouble))


def _crowded(world: World, status: LongTaskStatus) -> Plan:
    trouble = Trouble(
        "TooManyTasks",
        f"{world.policy.max_active} tasks of this requester are at work, and no more may be",
        "It starts when one of them has ended; the limit is operator.maxActiveTasksPerRequester in the chart's values.",
    )
    status, _ = _not_accepted_yet(world, status, trouble)
    waiting = statuses.unfinished(world, status, Phase.QUEUED, f"waiting: {trouble.message}", trouble)
    return Plan(waiting, look_again=world.now + ROOM_AGAIN)


def _wait_for_template(world: World, status: LongTaskStatus) -> Plan:
    name, namespace = world.task.spec.template_ref.name, world.task.metadata.namespace
    template = world.template
    checked = _checked(template) if template is not None else None
    if template is None:
        hint = f"Apply the LongTaskTemplate, or choose one from `kubectl get longtasktemplates -n {namespace}`."
        trouble = Trouble("TemplateNotFound", f"LongTaskTemplate {name} does not exist", hint)
    elif checked is None:
        trouble = Trouble(
            TEMPLATE_NOT_CHECKED, f"LongTaskTemplate {name} is not Ready: not checked yet", "It is checked in a moment."
        )
    else:
        hint = f"Correct it: kubectl describe longtasktemplate {name} -n {namespace}."
        trouble = Trouble("TemplateNotReady", f"LongTaskTemplate {name} is not Ready: {checked.message}", hint)
    waiting, since = _not_accepted_yet(world, status, trouble)
    if checked is not None:
        since = max(statuses.created(world), checked.last_transition_time)
    give_up = None if template is not None and checked is None else since + TEMPLATE_WAIT
    if give_up is not None and world.now >= give_up:
        return _given_up(world, status, trouble)
    waiting = statuses.unfinished(world, waiting, Phase.PENDING, f"waiting: {trouble.message}", trouble)
    quiet_until = statuses.created(world) + QUIET
    quiet = world.now < quiet_until
    return Plan(waiting, look_again=quiet_until if quiet else give_up or world.now + LOOK_AGAIN, defer_status=quiet)


def _checked(template: LongTaskTemplate) -> Condition | None:
    """What was found of the template as it is now; None where that is still to be seen."""
    if template.status.observed_generation != template.metadata.generation:
        return None
    return find(template.status.conditions, TemplateConditionType.READY)


def _job_refused(world: World, status: LongTaskStatus, template: LongTaskTemplate, trouble: Trouble) -> Plan:
    waiting, since = _not_accepted_yet(world, status, trouble)
    give_up = since + timedelta(seconds=template.spec.start_timeout_seconds)
    if world.job_refused_for_good or world.now >= give_up:
        return _given_up(world, status, trouble)
    return Plan(
        statuses.unfinished(world, waiting, Phase.PENDING, trouble.in_words, trouble),
        look_again=min(give_up, world.now + LOOK_AGAIN),
    )


def _not_accepted_yet(world: World, status: LongTaskStatus, trouble: Trouble) -> tuple[LongTaskStatus, datetime]:
    """The status that says what the task waits for, and since when it waits for just that.

    It may have waited long for something else: another reason begins a condition anew, with a time of its own.
    """
    known = find(status.conditions, ConditionType.ACCEPTED)
    if known is not None and known.reason != trouble.reason:
        others = [each for each in status.conditions if each.type != ConditionType.ACCEPTED]
        status, known = status.model_copy(update={"conditions": others}), None
    status = statuses.with_condition(world, status, ConditionType.ACCEPTED, "Unknown", trouble.reason, trouble.message)
    return status, known.last_transition_time if known is not None else world.now


def _given_up(world: World, status: LongTaskStatus, trouble: Trouble) -> Plan:
    return _refused(world, status, Failure(reason=trouble.reason, message=fitted(trouble.message), hint=trouble.hint))


def _refused(world: World, status: LongTaskStatus, failure: Failure) -> Plan:
    status = statuses.with_condition(world, status, ConditionType.ACCEPTED, "False", failure.reason, failure.message)
    return statuses.ended(world, status, Phase.FAILED, failure=failure, at=world.now)
