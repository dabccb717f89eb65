"""Lines on stderr, which are the log of the pod."""

import sys
from contextlib import suppress

_said: set[str] = set()


def write(text: str) -> None:
    """Write to stderr. One that is closed or broken is no reason to fail."""
    with suppress(OSError, ValueError, AttributeError):  # sys.stderr may be None
        sys.stderr.write(text)
        sys.stderr.flush()


def notice(text: str) -> None:
    """Write a line that the SDK itself has to say."""
    write(f"longtask: {text}\n")


def notice_once(text: str) -> None:
    """Write a line, unless this process has written it before."""
    if text not in _said and len(_said) < 100:
        _said.add(text)
        notice(text)
