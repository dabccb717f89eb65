"""`python -m tests.run` runs every test once, and spreads them so that none disturbs another."""

import tomllib
from types import SimpleNamespace
from typing import Any

import pytest

from tests.run import BREAKS, OTHERS, PURE, ROOT
from tests.spread import LOAD, RELEASE, TALKS, UNDER_LOAD, pytest_collection_modifyitems, unit


def test_every_folder_of_tests_is_run_once() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]

    assert sorted((*PURE, *OTHERS)) == sorted(configured)
    assert sorted(configured) == sorted({f"tests/{file.parent.name}" for file in ROOT.glob("tests/*/test_*.py")})
    assert (ROOT / BREAKS).exists()
    assert all((ROOT / "tests" / "e2e" / name).exists() for name in UNDER_LOAD)


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("tests/e2e/test_many.py::test_a[x::y/z]", LOAD),
        ("tests/e2e/test_agents.py::test_a", TALKS),
        ("tests/chart/test_release.py::test_a", RELEASE),
        ("tests/chart/test_rendering.py::test_a", "tests/chart/test_rendering.py"),
        ("tests/faults/test_x.py::test_a[1]", "tests/faults/test_x.py::test_a[1]"),
        ("tests/delivery/test_faults.py::test_a[1]", "tests/delivery/test_faults.py::test_a[1]"),
        ("tests/delivery/test_sessions.py::test_a[1]", "tests/delivery/test_sessions.py"),
        ("tests/sdk/test_run.py::test_a[1]", "tests/sdk/test_run.py::test_a[1]"),
        ("tests/sdk/test_resume.py::test_a", "tests/sdk/test_resume.py"),
        ("tests/unit/test_plan.py::test_a[a/b::c]", "tests/unit/test_plan.py"),
    ],
)
def test_what_shares_something_runs_in_one_worker(nodeid: str, expected: str) -> None:
    assert unit(nodeid) == expected


def test_tests_that_share_an_id_are_refused() -> None:
    """xdist would run one of them."""
    one: Any = SimpleNamespace(nodeid="tests/unit/test_x.py::test_a")
    with pytest.raises(pytest.UsageError, match="test_a"):
        pytest_collection_modifyitems([one, one])


def test_a_test_whose_id_is_another_in_each_worker_is_refused() -> None:
    one: Any = SimpleNamespace(nodeid=f"tests/unit/test_x.py::test_a[{object()!r:.20}]")
    with pytest.raises(pytest.UsageError, match="test_a"):
        pytest_collection_modifyitems([one])


def test_tests_that_wait_and_tests_that_compute_come_side_by_side_after_what_takes_longest() -> None:
    nodeids = [
        *("tests/unit/test_a.py::a", "tests/unit/test_b.py::b", "tests/operator/test_c.py::c"),
        *("tests/operator/test_d.py::d", "tests/chart/test_release.py::e", "tests/e2e/test_many.py::f"),
    ]
    items: Any = [SimpleNamespace(nodeid=nodeid) for nodeid in nodeids]

    pytest_collection_modifyitems(items)

    assert [item.nodeid[-1] for item in items] == ["e", "f", "c", "a", "d", "b"]
