"""`python -m tests.mutation [NAME...]`: changes decisions one by one, and lists the changes that no pure test notices.

NAME chooses mutants as mutmut does, such as `longtask_operator.planning.stall.*`. What is changed: decisions, delivery,
the contract with agents, and what the task API and the command line check and show. Tests that need a cluster or a
process are too slow for this. mutmut finds a module by its path, so packages and tests are laid out in a folder of
their own. It goes on where an earlier run was stopped; `--fresh` begins anew.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGE = Path(os.environ.get("LONGTASK_MUTATION", ROOT / "build" / "mutation"))
PACKAGES = (
    "sdk/longtask",
    "crds/longtask_api",
    "runtime/longtask_runtime",
    "operator/longtask_operator",
    "mcp_server/longtask_mcp",
    "cli/longtask_cli",
)
MUTATED = (
    "longtask_operator/planning/*",
    "longtask_operator/delivery/*",
    "longtask_operator/archive/record.py",
    "longtask_operator/agentcore/error_classification.py",
    "longtask_operator/task_api/limits.py",
    "longtask_mcp/contract/*",
    "longtask_api/parameters.py",
    "longtask_cli/state.py",
    "longtask_cli/text.py",
    "longtask_cli/timeline.py",
    "longtask_cli/values.py",
)
QUICK = (
    "--import-mode=importlib",
    # They ask what is in the repository, which is laid out otherwise.
    "--ignore=tests/unit/test_all_tests_run.py",
    "--ignore=tests/unit/test_bench_check.py",
    "--deselect=tests/unit/test_clock.py::test_no_server_asks_the_machine_for_the_time_of_day",
    *("-m", "not hypothesis and not cluster"),
    *("-p", "no:cacheprovider"),
    *("-p", "no:schemathesis"),
    *("-p", "no:xdist"),
)
STARTS_PROCESSES = re.compile(r"^from tests\.(faults|mcp\.(given_task_api|line|replica))\b", re.MULTILINE)
MUTMUT = Path(sys.executable).with_name("mutmut")


def main(arguments: list[str]) -> int:
    """The exit code of mutmut; survivors are listed whatever it is."""
    if "--fresh" in arguments:
        shutil.rmtree(STAGE, ignore_errors=True)
    lay_out()
    names = [argument for argument in arguments if argument != "--fresh"]
    code = subprocess.run([MUTMUT, "run", *names], cwd=STAGE, check=False).returncode
    subprocess.run([MUTMUT, "results"], cwd=STAGE, check=False)
    return code


def lay_out() -> None:
    """Copy the packages side by side, the tests, and settings in which both are found."""
    for source in (*PACKAGES, "tests"):
        target = STAGE / Path(source).name
        shutil.copytree(ROOT / source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (STAGE / "pyproject.toml").write_text(settings([Path(source).name for source in PACKAGES]))


def settings(packages: list[str]) -> str:
    """The settings of pytest and mutmut, as TOML."""
    return f"""\
[tool.pytest.ini_options]
addopts = {list(QUICK)}
pythonpath = ["."]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "session"
asyncio_default_test_loop_scope = "session"
markers = ["cluster: needs a Kubernetes cluster"]

[tool.mutmut]
source_paths = {packages}
only_mutate = {list(MUTATED)}
pytest_add_cli_args_test_selection = {["tests/unit", "tests/matrix", *pure_tests_of_the_contract()]}
"""


def pure_tests_of_the_contract() -> list[str]:
    """The tests of the MCP server that start nothing."""
    files = sorted((ROOT / "tests" / "mcp").glob("test_*.py"))
    return [str(file.relative_to(ROOT)) for file in files if not STARTS_PROCESSES.search(file.read_text())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
