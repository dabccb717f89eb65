"""Writes lines to stderr, which is the log of the pod."""

import sys
from contextlib import suppress

from longtask.forks import no_fork

_said: set[str] = set()


def write(text: str) -> None:
    """Write to stderr. Errors are ignored, as when it is closed or broken."""
    # sys.stderr may be None; a signal handler may write while its thread does (RuntimeError).
    with no_fork(), suppress(OSError, ValueError, AttributeError, RuntimeError):
        sys.stderr.write(text)
        sys.stderr.flush()


def notice(text: str) -> None:
    """Write a line of the SDK itself, with the prefix `longtask:`."""
    write(f"longtask: {text}\n")


def notice_once(text: str) -> None:
    """Write a line, unless this process has written it before; at most 100 different lines."""
    if text not in _said and len(_said) < 100:
        _said.add(text)
        notice(text)
