"""`python -m tests.run`: every test, and the branches of the product that they reached. With arguments: pytest's alone.

Most of the time of the tests is waiting for pods, so several workers share two cores. What breaks the node for
everybody runs alone, at the end.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
ALONE = "tests/faults/test_node_lost.py"
WORKERS = 5
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
        together, alone = Path(scratch, "together.xml"), Path(scratch, "alone.xml")
        spread = ("-p", "tests.spread", f"--numprocesses={WORKERS}", f"--durations={SLOWEST}", f"--deselect={ALONE}")
        run("coverage", "erase")
        codes = [
            run("coverage", "run", "-m", "pytest", *spread, f"--junit-xml={together}"),
            run("coverage", "run", "-m", "pytest", ALONE, f"--junit-xml={alone}"),
            run("coverage", "combine", "--quiet"),
            run("coverage", "report"),
        ]
        for failure in (line for report in (together, alone) for line in failures(report)):
            print(failure)
    print(f"all tests: exit codes {codes}, {(time.monotonic() - begin) / 60:.1f} min")
    return next((code for code in codes if code), 0)


def run(module: str, *arguments: str) -> int:
    """The exit code of a Python module. Processes that tests start anywhere write their coverage beside ours."""
    environment = os.environ | {"COVERAGE_FILE": str(ROOT / ".coverage")}
    return subprocess.run([*PYTHON, module, *arguments], cwd=ROOT, env=environment, check=False).returncode


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
