"""The result of a task from the termination message of the container that succeeded. Pure."""

import json
import math
from typing import Any

from longtask_api import names
from longtask_api.longtask import Artifact, Failure, Result

LARGEST_INTEGER = 2**63 - 1
"""JSON storage of the API server keeps larger ones as floating point."""


MAX_DEPTH = 100
"""Levels of nesting; some readers of JSON take no more than a few hundred."""


def read_result(message: str) -> Result | Failure:
    """JSON gives a value, other text a text, nothing an empty result; a message that was cut gives a Failure.

    kubelet keeps the last 4,096 bytes of a longer message, so one of just that length may have lost its beginning.
    """
    size = len(message.encode())
    if size >= names.MAX_RESULT_BYTES:
        return Failure(
            reason="ResultTooLarge",
            message=f"the work succeeded but its result has {size} bytes or more on /dev/termination-log, where "
            f"{names.MAX_RESULT_BYTES - 1} fit; the beginning may be lost",
            log_tail=message[-2048:],
            hint="Write a summary as the result, and the data itself to a volume or an object store.",
        )
    text = message.strip()
    if not text:
        return Result()
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Result(text=message)
    if value is None or not _storable(value, MAX_DEPTH):
        return Result(text=message)
    summary = value.get("summary") if isinstance(value, dict) else None
    return Result(
        value=value,
        summary=summary[:1024] if isinstance(summary, str) else None,
        artifacts=_artifacts(value) or None,
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _storable(value: Any, depth: int) -> bool:
    """Whether the API server gives back the same value, and every reader can take it."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) <= LARGEST_INTEGER
    if isinstance(value, float):
        return math.isfinite(value)
    if depth == 0:
        return False
    if isinstance(value, dict):
        return all(_storable(key, depth) and _storable(child, depth - 1) for key, child in value.items())
    return all(_storable(child, depth - 1) for child in value)


def _artifacts(value: Any) -> list[Artifact]:
    """Entries of `artifacts` (or the one `artifact`) of the result that say at least a name."""
    if not isinstance(value, dict):
        return []
    listed = value.get("artifacts") or ([value["artifact"]] if "artifact" in value else [])
    found = []
    for entry in listed if isinstance(listed, list) else []:
        try:
            found.append(Artifact.from_api(entry))
        except ValueError:
            continue
    return found[:64]
