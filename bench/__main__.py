"""`make bench`: measures and writes bench/results/latest.json, or one section of it; `make bench-check` compares."""

import argparse
import asyncio
import json
import os
import platform
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import check, cold_start, delivery, mcp, reconcile, reports, sdk
from bench.table import reports_table

RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    """Exit code 0, 1 when a task costs more than before, or 2 when the cluster cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "section",
        nargs="?",
        choices=["reconcile", "cold_start", "reports", "delivery", "sdk", "mcp", "short"],
        help="only this one",
    )
    parser.add_argument("--check", action="store_true", help="measure `short`, and compare it with what is stored")
    parser.add_argument("--tasks", type=int, default=500, help="reconcile: Jobs, and LongTasks, that end at once")
    parser.add_argument("--running", type=int, default=50, help="reconcile: LongTasks that still run at the cold start")
    parser.add_argument("--pods", type=int, default=1000, help="reports: LongTasks whose pods report once a second")
    parser.add_argument("--seconds", type=int, default=60, help="reports: for how long")
    parser.add_argument("--ended", type=int, default=200, help="delivery: LongTasks that end at once")
    parser.add_argument("--sessions", type=int, default=5, help="delivery: sessions that they belong to")
    arguments = parser.parse_args()
    if not os.environ.get("LONGTASK_AUDIT_LOG"):
        print(
            "writes are counted from the audit log, which only the local cluster has: make cluster-up", file=sys.stderr
        )
        return 2
    sections: dict[str, Callable[[], Coroutine[Any, Any, dict[str, Any]]]] = {
        "reconcile": lambda: reconcile.measure(arguments.tasks, arguments.running),
        "cold_start": cold_start.measure,
        "reports": lambda: reports.measure(arguments.pods, arguments.seconds),
        "delivery": lambda: delivery.measure(arguments.ended, arguments.sessions),
        "sdk": sdk.measure,
        "mcp": mcp.measure,
        "short": lambda: reconcile.measure_short(check.TASKS),
    }
    if arguments.check:
        problems = check.worse(json.loads(RESULTS.read_text())["short"], asyncio.run(sections["short"]()))
        print("\n".join(problems) or "a task costs what it did")
        return 1 if problems else 0
    for name, measure in sections.items():
        if arguments.section in (None, name):
            machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()}
            date = datetime.now(UTC).isoformat(timespec="seconds")
            figures = {"date": date, "machine": machine, **asyncio.run(measure())}
            _store(name, figures)
            print(reports_table(figures) if name == "reports" else json.dumps(figures, indent=2))
    return 0


def _store(name: str, figures: dict[str, Any]) -> None:
    """Put a section in place of the one of the run before."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**results, name: figures}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
