"""`python -m tests.run`: every test, those that wait for pods beside those that need none. With arguments: pytest's.

Most of the time of the tests is waiting for pods. What breaks the node for everybody runs alone, at the end.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

WITHOUT_PODS = ("unit", "sdk", "emulator", "docs", "api", "mcp", "store", "delivery")
WITH_PODS = ("chart", "operator", "e2e")
ALONE = ("faults",)
NICE = 5
"""Of the tests without pods: the node goes first, or it is late with what it knows of its pods."""
ROOT = Path(__file__).resolve().parents[1]
PYTEST = [sys.executable, "-m", "pytest"]


def main(arguments: list[str]) -> int:
    """The first exit code that is not 0."""
    if arguments:
        return subprocess.run([*PYTEST, *arguments], check=False).returncode
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        output, reports = Path(scratch, "output"), [Path(scratch, f"{part}.xml") for part in range(3)]
        with output.open("w") as file:
            command = ["nice", "-n", str(NICE), *pytest_of(WITHOUT_PODS, reports[0])]
            beside = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            codes = [subprocess.run(pytest_of(WITH_PODS, reports[1]), check=False).returncode, beside.wait()]
        finally:
            beside.kill()
            beside.wait()
        print(output.read_text(), flush=True)
        codes.append(subprocess.run(pytest_of(ALONE, reports[2]), check=False).returncode)
        for failure in (line for report in reports for line in failures(report)):
            print(failure)
    print(f"all tests: exit codes {codes}, {(time.monotonic() - begin) / 60:.1f} min")
    return next((code for code in codes if code), 0)


def pytest_of(names: tuple[str, ...], report: Path) -> list[str]:
    return [*PYTEST, f"--junit-xml={report}", *(str(ROOT / "tests" / name) for name in names)]


def failures(report: Path) -> list[str]:
    """A line for each test that failed: the parts' own summaries are far above the end of the output."""
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
