"""Settings of the SDK, from environment variables."""

from collections.abc import Mapping
from typing import Final

LOCAL_FOLDER: Final = "LONGTASK_LOCAL_DIR"
"""The variable that names the folder in which a local run keeps checkpoints and artifacts."""
MAX_SECONDS: Final = 10**9
"""Longest duration accepted, in seconds; Python's clocks can handle ten times that."""


class BadSetting(ValueError):
    """An environment variable with an unusable value; the message says which one, and what is valid."""


def seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    """A duration in seconds, 0 to MAX_SECONDS; the default if the variable is absent or empty. Raises BadSetting."""
    text = environment.get(name) or str(default)
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found <= MAX_SECONDS:
        raise BadSetting(f"{name} is {text!r}: give seconds, a number from 0 to {MAX_SECONDS}")
    return found
