"""The trace that a task belongs to, by W3C Trace Context (https://www.w3.org/TR/trace-context/). Pure."""

import re
from collections.abc import Mapping

from longtask_api import constants

MAX_STATE = 512
"""Characters of a tracestate that are passed on: the least that every party must support (section 3.3.1.5)."""
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(rf"[\x20-\x7e]{{1,{MAX_STATE}}}")


def annotations(headers: Mapping[str, str]) -> dict[str, str]:
    """A LongTask's annotations for a trace's headers, `traceparent` and `tracestate`; empty if they name no trace."""
    return _both(
        headers, "traceparent", "tracestate", constants.ANNOTATION_TRACEPARENT, constants.ANNOTATION_TRACESTATE
    )


def variables(annotations: Mapping[str, str]) -> dict[str, str]:
    """Environment variables of the task's containers for these annotations, with the names that OpenTelemetry gives
    them (https://opentelemetry.io/docs/specs/otel/context/env-carriers/); empty if they name no trace."""
    return _both(
        annotations,
        constants.ANNOTATION_TRACEPARENT,
        constants.ANNOTATION_TRACESTATE,
        constants.ENV_TRACEPARENT,
        constants.ENV_TRACESTATE,
    )


def _both(given: Mapping[str, str], parent: str, state: str, parent_name: str, state_name: str) -> dict[str, str]:
    """Without a valid parent the state is ignored; an invalid state is dropped (section 3.4)."""
    if not _PARENT.fullmatch(given.get(parent, "")):
        return {}
    both = {parent_name: given[parent]}
    if _STATE.fullmatch(given.get(state, "")):
        both[state_name] = given[state]
    return both
