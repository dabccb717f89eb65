"""What the watchdogs of servers have told while a test ran."""

import json
from pathlib import Path
from typing import Any

LIMIT = 0.25
"""Seconds. A server logs from 0.1 s on; what takes shorter than this may be a machine that is slow."""
PRODUCT = ("/longtask_api/", "/longtask_mcp/", "/longtask_operator/", "/longtask_runtime/")

_read_up_to: dict[Path, int] = {}


def follow(log: Path) -> None:
    """A server writes its log there."""
    _read_up_to.setdefault(log, 0)


def by_servers() -> list[str]:
    """For how long loops of servers were blocked since the last call, and with what stacks."""
    return [
        f"{line['seconds']} s, {line['on_cpu']} s of them computing ({log}):\n{line['stack']}"
        for log in list(_read_up_to)
        for line in _new_lines(log)
        if line.get("logger") == "longtask_runtime.watchdog" and line["seconds"] > LIMIT
    ]


def is_ours(stack: str) -> bool:
    """Whether code of a server blocked the loop, and no test that called it on purpose."""
    return any(part in stack for part in PRODUCT) and "/tests/" not in stack


def _new_lines(log: Path) -> list[dict[str, Any]]:
    if not log.exists():
        del _read_up_to[log]
        return []
    with log.open("rb") as file:
        file.seek(_read_up_to[log])
        new = file.read()
    whole = new[: new.rfind(b"\n") + 1]
    _read_up_to[log] += len(whole)
    return [json.loads(line) for line in whole.splitlines() if b"longtask_runtime.watchdog" in line]
