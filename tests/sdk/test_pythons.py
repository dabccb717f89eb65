"""The SDK on every other Python from 3.11 up that this machine has, with nothing installed but pytest."""

import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PYTEST = (
    *("pytest", "pytest-asyncio", "pytest-timeout"),
    *("pluggy", "iniconfig", "packaging", "pygments", "typing-extensions"),
)
"""pytest and what it stands on: Python alone, so that the files of this environment, the pinned ones, serve all."""
TESTS = (
    *(f"test_{module}.py" for module in ("context", "local", "encode", "failure", "forks", "pod", "progress", "task")),
    "test_standing_alone.py::test_importing_takes_few_modules",
    "test_standing_alone.py::test_every_module_of_the_sdk_imports_with_the_standard_library_alone",
    *(
        f"test_run.py::{test}"
        for test in (
            "test_at_a_desk_the_result_is_json_on_stdout_and_progress_is_on_stderr",
            "test_in_a_pod_a_small_result_is_the_termination_message",
            "test_an_async_task_gives_its_result_and_its_context_is_current",
            "test_a_failure_is_the_end_of_a_readable_traceback",
            "test_the_work_may_exit_by_itself",
            "test_work_that_leaves_when_it_is_stopped_ends_with_143",
            "test_an_async_task_is_cancelled",
            "test_a_question_that_is_open_ends_with_sigterm",
            "test_a_second_sigterm_ends_the_process_at_once",
            "test_a_forked_process_reports_nothing_and_ends_on_sigterm",
            "test_what_the_work_left_behind_is_named_and_does_not_hold_up_the_end",
            "test_an_async_task_does_not_wait_for_the_threads_that_it_leaves",
            "test_a_library_that_breaks_when_it_is_taken_apart_does_not_change_the_outcome",
            "test_what_was_printed_stays_when_the_process_dies",
            "test_the_processes_of_a_pool_report_nothing_and_fail_nothing",
        )
    ),
)
"""Those that need the standard library and pytest alone; of processes, which are slow to start, those in which the
Python that runs them can make a difference."""

Processes = dict[str, "subprocess.Popen[str]"]


def interpreters() -> dict[str, str]:
    """The path of each other Python by its version."""
    found = {}
    for version in VERSIONS:
        if version == "{}.{}".format(*sys.version_info):
            continue
        installed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        path = str(installed[-1]) if installed else shutil.which(f"python{version}")
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            found[version] = path
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pytest in it."""
    folder = tmp_path_factory.mktemp("site")
    for name in PYTEST:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                assert file.suffix not in (".so", ".pyd"), f"{name} is not Python alone"
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(distribution.locate_file(file), target)  # type: ignore[arg-type]
    return folder


@pytest.fixture(scope="module")
def running(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """The tests of each Python, all at once."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("LONGTASK_", "PYTHON", "PYTEST"))
    }
    processes: Processes = {}
    for version, path in interpreters().items():
        folder = tmp_path_factory.mktemp(version)
        command = [path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--confcutdir", "tests/sdk"]
        tests = [f"tests/sdk/{test}" for test in TESTS]
        processes[version] = subprocess.Popen(
            [*command, "--basetemp", str(folder / "tmp"), *tests],
            cwd=ROOT,
            env=clean | {"PYTHONPATH": str(site), "PYTHONPYCACHEPREFIX": str(folder / "bytecode")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    yield processes
    for process in processes.values():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_sdk_passes_its_tests(running: Processes, version: str) -> None:
    if version not in running:
        pytest.skip(f"Python {version} is this one, or not on this machine")
    out, _ = running[version].communicate(timeout=500)
    assert running[version].returncode == 0, out
    assert " passed" in out
