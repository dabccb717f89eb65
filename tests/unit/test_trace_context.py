"""W3C Trace Context: what is passed on, and what is ignored."""

from typing import Any

import pytest

from longtask_api import constants, trace_context
from longtask_operator.planning.build_job import build_job, take_snapshot
from tests.unit.given import task, template

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "01",
        PARENT.upper(),
        PARENT + "-extra",
        PARENT + "\n",
        PARENT.replace("00-4", "ff-4"),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
        PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        PARENT.replace("-", "_"),
        "$(LONGTASK_ID)",
    ],
)
def test_what_names_no_trace_is_ignored(parent: str) -> None:
    assert trace_context.annotations({"traceparent": parent, "tracestate": "a=1"}) == {}
    assert trace_context.variables({constants.ANNOTATION_TRACEPARENT: parent}) == {}


@pytest.mark.parametrize(("state", "kept"), [("a=1,b=2", True), ("", False), ("a" * 513, False), ("ä=1", False)])
def test_a_state_is_passed_on_or_dropped(state: str, kept: bool) -> None:
    annotations = trace_context.annotations({"traceparent": PARENT, "tracestate": state})
    assert annotations[constants.ANNOTATION_TRACEPARENT] == PARENT
    assert annotations.get(constants.ANNOTATION_TRACESTATE) == (state if kept else None)
    expected = {"TRACEPARENT": PARENT} | ({"TRACESTATE": state} if kept else {})
    assert trace_context.variables(annotations) == expected


def test_every_container_is_told_the_trace_and_the_authors_own_value_wins() -> None:
    own = {"name": "TRACEPARENT", "value": "the author's"}
    source = template({"podTemplate": {"spec": {"containers": [{"name": "a", "image": "a"}, _container("b", own)]}}})
    trace = {constants.ANNOTATION_TRACEPARENT: PARENT, constants.ANNOTATION_TRACESTATE: "a=$(b)"}
    made = task()
    made = made.model_copy(update={"metadata": made.metadata.model_copy(update={"annotations": trace})})
    job = build_job(made, source, take_snapshot(source), {}, report_url=None)
    first, second = (_values(each) for each in job["spec"]["template"]["spec"]["containers"])
    assert (first["TRACEPARENT"], first["TRACESTATE"]) == (PARENT, "a=$$(b)")
    assert second["TRACEPARENT"] == "the author's"


def _container(name: str, *env: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "image": name, "env": list(env)}


def _values(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"]}
