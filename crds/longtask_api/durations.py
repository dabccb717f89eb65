"""Words that the operator and the MCP server both tell agents, and that should be the same."""

from datetime import timedelta


def duration(span: timedelta) -> str:
    """A length of time in one unit: 45 s, 12 min, 5 h, 3 d; 0 s for what is negative."""
    seconds = max(0, int(span.total_seconds()))
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit} {name}"
    return f"{seconds // 86400} d"
