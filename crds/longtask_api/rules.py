"""The CEL validation rules of the CRDs, which hold for every client.

All rules are at the schema's root: a rule on a field is skipped by an update that removes the field, so a rule on
`status` would not see `{"status": null}`. A rule that uses oldSelf runs only on updates.
"""

from dataclasses import dataclass

from longtask_api import constants, template


@dataclass(frozen=True)
class Rule:
    """One x-kubernetes-validations entry."""

    rule: str
    message: str
    field_path: str

    def to_api(self) -> dict[str, str]:
        """The entry of x-kubernetes-validations."""
        # FieldValueInvalid would print the rule's scope as the value: `Invalid value: "object": <message>`.
        reason = "FieldValueForbidden"
        return {"rule": self.rule, "message": self.message, "reason": reason, "fieldPath": self.field_path}


_TERMINAL = (
    "has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase in ['Succeeded', 'Failed', 'Cancelled']"
)


def _unchanged(parent: str, field: str) -> str:
    """CEL expression: the field has its old value; an absent one stays absent.

    CEL has no access to a map of unknown structure except through dyn(). Equality is tested both ways, because
    {"value": null} on the left equals {"text": "..."} (k8s.io/apiserver, pkg/cel/common/valuesunstructured.go).
    """
    new, old = (f"dyn({side}.{parent}).{field}" for side in ("self", "oldSelf"))
    return f"has({new}) == has({old}) && (!has({new}) || ({new} == {old} && {old} == {new}))"


def _immutable(field: str) -> Rule:
    return Rule(
        _unchanged("spec", field),
        f"{field} cannot change once the task exists: create another LongTask instead",
        f".spec.{field}",
    )


def _frozen(field: str) -> Rule:
    return Rule(
        f"!({_TERMINAL}) || (has(self.status) && {_unchanged('status', field)})",
        f"the task has ended: its {field} never changes again",
        f".status.{field}",
    )


def _forward(field: str) -> Rule:
    new, old = f"self.status.{field}", f"oldSelf.status.{field}"
    return Rule(
        f"!(has(oldSelf.status) && has({old})) || (has(self.status) && has({new}) && ("
        f"{new}.attempt > {old}.attempt || ({new}.attempt == {old}.attempt && {new}.sequence >= {old}.sequence)))",
        f"{field} never goes back or away: its (attempt, sequence) is at least what is stored",
        f".status.{field}",
    )


def _name_fits(limit: int, what: str) -> Rule:
    return Rule(
        f"size(self.metadata.name) <= {limit} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        f"the name of a {what} has at most {limit} characters, of a-z, 0-9 and '-', and starts with a letter",
        ".metadata.name",
    )


def _succeeded_condition(side: str) -> str:
    conditions = f"{side}.status.conditions"
    return f"(has({conditions}) ? {conditions}.filter(c, c.type == 'Succeeded') : [])"


FROZEN = (
    *("result", "failure", "message", "logTail"),
    *("progress", "checkpoint", "inputRequests"),
    *("attempts", "attemptCount", "disruptionCount", "startTime", "completionTime", "activeSeconds", "jobRef"),
)
"""Status fields that describe the outcome. Like the phase, they never change once the task has ended."""

TASK_RULES = (
    _name_fits(constants.MAX_TASK_NAME, "LongTask"),
    _immutable("templateRef"),
    _immutable("parameters"),
    _immutable("idempotencyKey"),
    _immutable("requester"),
    _immutable("memory"),
    _immutable("rerunOf"),
    Rule(
        "!(has(oldSelf.spec.cancelRequested) && oldSelf.spec.cancelRequested) || "
        "(has(self.spec.cancelRequested) && self.spec.cancelRequested)",
        "a cancel cannot be taken back: create another LongTask to run the work again",
        ".spec.cancelRequested",
    ),
    Rule(
        "!has(oldSelf.spec.inputResponses) || oldSelf.spec.inputResponses.all(old, "
        "has(self.spec.inputResponses) && self.spec.inputResponses.exists(new, new == old))",
        "an answer that was given stays as it is: answers can only be added, one for each requestId",
        ".spec.inputResponses",
    ),
    Rule(
        "!has(self.spec.inputResponses) || self.spec.inputResponses.all(new, "
        "(has(oldSelf.spec.inputResponses) && oldSelf.spec.inputResponses.exists(old, old.requestId == new.requestId)) "
        f"|| (!({_TERMINAL}) && has(self.status) && has(self.status.inputRequests) && "
        "self.status.inputRequests.exists(asked, asked.id == new.requestId)))",
        "an answer names, in requestId, a question of status.inputRequests, and is given before the task has ended",
        ".spec.inputResponses",
    ),
    Rule(
        "!has(self.spec.inputResponses) || !has(self.status) || !has(self.status.inputRequests) || "
        "self.status.inputRequests.all(asked, !(has(asked.timedOut) && asked.timedOut) || "
        "!self.spec.inputResponses.exists(given, given.requestId == asked.id))",
        "a question that has timed out takes no answer, and one that has an answer does not time out",
        ".spec.inputResponses",
    ),
    Rule(
        f"!({_TERMINAL}) || (has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)",
        "the task has ended: its phase never changes again and its status stays; "
        "create another LongTask to run the work again",
        ".status.phase",
    ),
    *(_frozen(field) for field in FROZEN),
    Rule(
        f"!({_TERMINAL}) || (has(self.status) && {_succeeded_condition('self')} == {_succeeded_condition('oldSelf')})",
        "the task has ended: its Succeeded condition never changes again",
        ".status.conditions",
    ),
    Rule(
        "!(has(oldSelf.status) && has(oldSelf.status.jobRef)) || "
        "(has(self.status) && has(self.status.jobRef) && self.status.jobRef == oldSelf.status.jobRef)",
        "jobRef never changes once it is set: a task has one Job",
        ".status.jobRef",
    ),
    *(_forward(field) for field in ("progress", "checkpoint")),
    Rule(
        "!(has(oldSelf.status) && has(oldSelf.status.result) && has(oldSelf.status.result.attempt)) || "
        "!(has(self.status) && has(self.status.result) && has(self.status.result.attempt)) || "
        "self.status.result.attempt >= oldSelf.status.result.attempt",
        "a result never goes back to an earlier attempt's",
        ".status.result",
    ),
    Rule(
        "!(has(oldSelf.status) && has(oldSelf.status.result)) || (has(self.status) && has(self.status.result))",
        "a result that was handed in is not taken back: only another one takes its place",
        ".status.result",
    ),
    Rule(
        "!(has(oldSelf.status) && has(oldSelf.status.inputRequests)) || oldSelf.status.inputRequests.all(old, "
        "has(self.status) && has(self.status.inputRequests) && self.status.inputRequests.exists(new, "
        "new.id == old.id && (!(has(old.timedOut) && old.timedOut) || (has(new.timedOut) && new.timedOut))))",
        "a question that was asked stays, and one that timed out stays so",
        ".status.inputRequests",
    ),
    Rule(
        "!(has(oldSelf.status) && has(oldSelf.status.delivery) && has(oldSelf.status.delivery.events)) || "
        "oldSelf.status.delivery.events.all(old, has(self.status) && has(self.status.delivery) && "
        "has(self.status.delivery.events) && self.status.delivery.events.exists(new, new.name == old.name && "
        "new.eventTime == old.eventTime && new.payloadSHA256 == old.payloadSHA256 && "
        "new.clientToken == old.clientToken && "
        "(has(new.payload) ? has(old.payload) && new.payload == old.payload : "
        "!has(old.payload) || has(new.eventId)) && "
        "(!has(old.eventId) || (has(new.eventId) && new.eventId == old.eventId))))",
        "what was recorded of an event of the session stays as it is: it may have been written already",
        ".status.delivery.events",
    ),
)

TEMPLATE_RULES = (
    _name_fits(constants.MAX_TEMPLATE_NAME, "LongTaskTemplate"),
    Rule(
        "!has(self.spec.maxActiveDeadlineSeconds) || "
        "self.spec.activeDeadlineSeconds <= self.spec.maxActiveDeadlineSeconds",
        f"activeDeadlineSeconds ({template.DEFAULT_ACTIVE_DEADLINE_SECONDS} when not given) is more than "
        "maxActiveDeadlineSeconds: set it to at most that",
        ".spec.activeDeadlineSeconds",
    ),
)
