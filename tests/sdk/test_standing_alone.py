"""The SDK is light: no dependency, nothing of ours, and no time to import."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("LONGTASK_", "PYTHON"))}
OURS = ("longtask_api", "longtask_runtime", "longtask_operator", "longtask_mcp")
LAZY = ("asyncio", "dataclasses", "http.client", "inspect", "json", "pathlib", "longtask.encode", "longtask.signature")
"""What only some tasks need, or all but later."""


def python(*arguments: str, folder: Path | None = None, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run this Python with the SDK alone on the path: no site-packages. It ends with this exit code."""
    command = [sys.executable, "-S", *arguments]
    environment = CLEAN | {"PYTHONPATH": str(ROOT / "sdk")}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stderr
    return ran


def test_importing_takes_few_modules() -> None:
    """What it takes in milliseconds is in bench/results/latest.json, under `sdk`."""
    code = "import sys; before = len(sys.modules); import longtask; print(len(sys.modules) - before)"
    assert int(python("-c", code).stdout) < 50


@pytest.mark.parametrize("name", LAZY)
def test_what_few_need_is_not_imported(name: str) -> None:
    found = python("-c", f"import sys, longtask; print({name!r} in sys.modules)").stdout
    assert found == "False\n"


def test_every_module_of_the_sdk_imports_with_the_standard_library_alone() -> None:
    modules = [
        ".".join(path.relative_to(ROOT / "sdk").with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "sdk" / "longtask").rglob("*.py"))
        if path.parent.name != "integrations" and path.name != "yaml_reader.py"
    ]
    assert "longtask.run" in modules
    code = f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\nprint(sorted(sys.modules))"
    found = python("-c", code).stdout
    assert not [name for name in OURS if name in found]


@pytest.mark.parametrize("option", ["--check", "--update"])
def test_a_template_is_written_without_a_library_and_what_reads_one_names_what_it_needs(
    tmp_path: Path, option: str
) -> None:
    (tmp_path / "work.py").write_text('def add(a: int) -> int:\n    """Adds."""\n    return a\n')
    command = ("-m", "longtask", "template", "work:add")
    (tmp_path / "add.yaml").write_text(python(*command, "--image", "x", folder=tmp_path).stdout)
    ran = python(*command, option, "add.yaml", folder=tmp_path, code=2)
    needed = "--check and --update need PyYAML (No module named 'yaml'): pip install 'longtask-sdk[template]'\n"
    assert (ran.stdout, ran.stderr) == ("", needed)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [each.partition(">")[0] for each in extras["template"]] == ["pyyaml"]


def test_the_distribution_asks_for_nothing_without_an_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []


def test_the_distribution_has_a_name_of_its_own_and_the_module_keeps_its() -> None:
    """`longtask` on the public index is somebody else's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["name"] == "longtask-sdk"
    assert "sdk/longtask" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    folders = [ROOT / "docs", ROOT / "examples"]
    files = [ROOT / "README.md", *(file for folder in folders for file in folder.rglob("*") if file.is_file())]
    texts = {str(file): file.read_text(errors="replace") for file in files}
    assert [name for name, text in texts.items() if re.search(r"pip install (?:-\S+ )*longtask(?![-\w])", text)] == []
    required = [text for name, text in texts.items() if name.endswith("requirements.txt")]
    assert not any(re.search(r"^longtask(?![-\w])", text, re.MULTILINE) for text in required)


def test_the_installed_distribution_asks_for_nothing_without_an_extra() -> None:
    try:
        required = importlib.metadata.requires("longtask-sdk") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("longtask-sdk is not installed here")
    assert [each for each in required if "extra ==" not in each] == []
