"""What must hold between the fields of a LongTaskTemplate, however it is written."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.api.conftest import MakeTask
from tests.api.objects import template
from tests.api.test_create import CREATES
from tests.api.writes import REMOVED, VERBS, Change
from tests.kube import Kube

DEADLINE = "activeDeadlineSeconds (86400 when not given) is more than maxActiveDeadlineSeconds: set it to at most that"
HOUR = {"activeDeadlineSeconds": 3600, "maxActiveDeadlineSeconds": 3600}


@dataclass(frozen=True)
class Case:
    """A change of the spec, and what the API server says of it where it refuses."""

    what: str
    change: Change
    given: dict[str, Any] = field(default_factory=dict)
    says: str = ""


REFUSED = [
    Case("default over the maximum", Change("spec.activeDeadlineSeconds", 3601), HOUR, DEADLINE),
    Case("maximum under the default", Change("spec.maxActiveDeadlineSeconds", 3599), HOUR, DEADLINE),
    Case("the default left out", Change("spec.activeDeadlineSeconds", REMOVED), HOUR, DEADLINE),
    Case("a maximum under what is filled in", Change("spec.maxActiveDeadlineSeconds", 3600), says=DEADLINE),
]

ALLOWED = [
    Case("a shorter default", Change("spec.activeDeadlineSeconds", 60), HOUR),
    Case("a longer maximum", Change("spec.maxActiveDeadlineSeconds", 7200), HOUR),
    Case("no maximum", Change("spec.maxActiveDeadlineSeconds", REMOVED), HOUR),
    Case("a maximum of what is filled in", Change("spec.maxActiveDeadlineSeconds", 86400)),
    Case("another description", Change("spec.description", "Trains two models.")),
    Case("another schema", Change("spec.parametersSchema", {"type": "object", "properties": {"a": {"default": None}}})),
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.what)
def test_refused(a_template: MakeTask, verb: str, case: Case) -> None:
    answer = a_template(case.given).write(verb, case.change)

    assert answer.code == 422, answer.body
    assert answer.refusals == {case.says: "spec.activeDeadlineSeconds"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", ALLOWED, ids=lambda case: case.what)
def test_allowed(a_template: MakeTask, verb: str, case: Case) -> None:
    a_template(case.given).write(verb, case.change).done()


@pytest.mark.parametrize("verb", CREATES)
def test_a_maximum_under_the_default_is_refused_at_once(kube: Kube, verb: str) -> None:
    body = template("too-long", {"maxActiveDeadlineSeconds": 3600})

    answer = CREATES[verb](kube, "longtasktemplates", body)

    assert answer.refusals == {DEADLINE: "spec.activeDeadlineSeconds"}
