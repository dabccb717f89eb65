"""Formats durations the same way in the operator's and the MCP server's messages."""

from datetime import timedelta


def duration(span: timedelta) -> str:
    """A duration in one unit, rounded down: 45 s, 12 min, 5 h, 3 d; 0 s if it is negative."""
    seconds = max(0, int(span.total_seconds()))
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit} {name}"
    return f"{seconds // 86400} d"
