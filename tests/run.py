"""`python -m tests.run`: every test, and the branches of the product that they reached. With arguments: pytest's alone.

Most of the time of the tests is waiting for pods, so several workers share two cores. What breaks the node for
everybody runs at the end, beside tests that need no cluster.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from tests.spread import COMPUTES, WAITS

ROOT = Path(__file__).resolve().parents[1]
BREAKS = "tests/faults/test_node_lost.py"
PURE = ("tests/unit", "tests/matrix")
OTHERS = tuple(path for name in ("e2e", *WAITS, *COMPUTES) if (path := f"tests/{name}") not in PURE)
WORKERS, PURE_WORKERS = 7, 2
SLOWEST = 25
NICE = ("nice", "-n", "5")
"""The node goes first, or it is late with what it knows of its pods."""
PYTHON = (*NICE, sys.executable, "-m")


def main(arguments: list[str]) -> int:
    """The first exit code that is not 0."""
    if arguments:
        return run("pytest", *arguments)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        together, breaks, pure = (Path(scratch, f"{name}.xml") for name in ("together", "breaks", "pure"))
        run("coverage", "erase")
        codes = [tests(WORKERS, together, f"--durations={SLOWEST}", f"--deselect={BREAKS}", *OTHERS).wait()]
        last = [tests(0, breaks, BREAKS), tests(PURE_WORKERS, pure, "--quiet", *PURE)]
        codes += [
            *(each.wait() for each in last),
            run("coverage", "combine", "--quiet"),
            run("coverage", "report"),
        ]
        for failure in (line for report in (together, breaks, pure) for line in failures(report)):
            print(failure)
    print(f"all tests: exit codes {codes}, {(time.monotonic() - begin) / 60:.1f} min")
    return next((code for code in codes if code), 0)


def tests(workers: int, report: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """pytest, begun, with its report for machines there."""
    spread = ("-p", "tests.spread", f"--numprocesses={workers}", f"--junit-xml={report}")
    return started("coverage", "run", "-m", "pytest", *spread, *arguments)


def run(module: str, *arguments: str) -> int:
    """The exit code of a Python module."""
    return started(module, *arguments).wait()


def started(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python module. Processes that tests start anywhere write their coverage beside ours."""
    environment = os.environ | {"COVERAGE_FILE": str(ROOT / ".coverage")}
    return subprocess.Popen([*PYTHON, module, *arguments], cwd=ROOT, env=environment)


def failures(report: Path) -> list[str]:
    """A line for each test that failed: pytest's own summary is far above the end of the output."""
    if not report.exists():
        return [f"no report {report.name}: pytest did not get to its end"]
    return [
        f"{outcome.tag.upper()} {case.get('classname')}::{case.get('name')}: {(outcome.get('message') or '')[:500]}"
        for case in ElementTree.parse(report).iter("testcase")
        for outcome in case
        if outcome.tag in ("failure", "error")
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
