"""`python -m tests.run` runs every test once, and spreads them so that none disturbs another."""

import tomllib

import pytest

from tests.run import ALONE, ROOT
from tests.spread import FOLDERS, RELEASE, unit


def test_every_folder_of_tests_is_run_once() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]

    assert sorted(f"tests/{name}" for name in FOLDERS) == sorted(configured)
    assert (ROOT / ALONE).exists()


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("tests/e2e/test_many.py::test_a[x::y/z]", RELEASE),
        ("tests/chart/test_release.py::test_a", RELEASE),
        ("tests/chart/test_rendering.py::test_a", "tests/chart/test_rendering.py"),
        ("tests/faults/test_x.py::test_a[1]", "tests/faults/test_x.py::test_a[1]"),
        ("tests/delivery/test_faults.py::test_a[1]", "tests/delivery/test_faults.py::test_a[1]"),
        ("tests/delivery/test_sessions.py::test_a[1]", "tests/delivery/test_sessions.py"),
        ("tests/unit/test_plan.py::test_a[a/b::c]", "tests/unit/test_plan.py"),
    ],
)
def test_what_shares_something_runs_in_one_worker(nodeid: str, expected: str) -> None:
    assert unit(nodeid) == expected
