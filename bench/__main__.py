"""`make bench`: measures and writes bench/results/latest.json."""

import argparse
import asyncio
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench import reconcile

RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    """Exit code 0, or 2 when the cluster cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--tasks", type=int, default=500, help="Jobs, and LongTasks, that end at once")
    parser.add_argument("--running", type=int, default=50, help="LongTasks that still run at the cold start")
    arguments = parser.parse_args()
    if not os.environ.get("LONGTASK_AUDIT_LOG"):
        print(
            "writes are counted from the audit log, which only the local cluster has: make cluster-up", file=sys.stderr
        )
        return 2
    results = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
        "reconcile": asyncio.run(reconcile.measure(arguments.tasks, arguments.running)),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
