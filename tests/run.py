"""`python -m tests.run`: every test, those that wait for pods beside those that need none. With arguments: pytest's.

Most of the time of the tests is waiting for pods. What breaks the node for everybody runs alone, at the end.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

WITHOUT_PODS = ("unit", "sdk", "emulator", "docs", "api", "mcp", "store", "delivery")
WITH_PODS = ("chart", "operator", "e2e")
ALONE = ("faults",)
ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    """The first exit code that is not 0."""
    if arguments:
        return subprocess.run([*PYTEST, *arguments], check=False).returncode
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        beside = subprocess.Popen([*PYTEST, *folders(WITHOUT_PODS)], stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            codes = [subprocess.run([*PYTEST, *folders(WITH_PODS)], check=False).returncode, beside.wait()]
        finally:
            beside.kill()
            beside.wait()
        output.seek(0)
        print(output.read(), flush=True)
    codes.append(subprocess.run([*PYTEST, *folders(ALONE)], check=False).returncode)
    print(f"all tests: exit codes {codes}, {(time.monotonic() - begin) / 60:.1f} min")
    return next((code for code in codes if code), 0)


PYTEST = [sys.executable, "-m", "pytest"]


def folders(names: tuple[str, ...]) -> list[str]:
    return [str(ROOT / "tests" / name) for name in names]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
