"""Settings of the SDK, from variables of the environment."""

from collections.abc import Mapping
from typing import Final

LOCAL_FOLDER: Final = "LONGTASK_LOCAL_DIR"
"""The variable that names the folder in which a desk keeps checkpoints and artifacts."""
MAX_SECONDS: Final = 10**9
"""The clocks of Python take ten times that."""


class BadSetting(ValueError):
    """A variable that cannot be used; the text says which, and what to give."""


def seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    """A length of time; the default where the variable is absent or empty. Raises BadSetting."""
    text = environment.get(name) or str(default)
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found <= MAX_SECONDS:
        raise BadSetting(f"{name} is {text!r}: give seconds, a number from 0 to {MAX_SECONDS}")
    return found
