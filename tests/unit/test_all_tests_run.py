"""`python -m tests.run` runs every folder of tests once."""

import tomllib

from tests.run import ALONE, ROOT, WITH_PODS, WITHOUT_PODS


def test_every_folder_of_tests_is_run_once() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]

    assert sorted(f"tests/{name}" for name in (*WITHOUT_PODS, *WITH_PODS, *ALONE)) == sorted(configured)
