"""What the pages show for a local run works: without a cluster, in a folder that holds their files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from longtask_api.template import LongTaskTemplate
from longtask_operator.template_controller import problems_of
from tests.docs.pages import ROOT, Block, blocks

FILES = blocks("python", "local")
TESTS = blocks("python", "test")
COMMANDS = blocks("sh", "local")


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, with every file that a page shows."""
    made = tmp_path_factory.mktemp("local")
    for block in [*FILES, *TESTS]:
        assert block.file is not None, f"{named(block)} does not begin with the name of its file"
        (made / block.file).write_text(block.text)
    return made


def run(folder: Path, *command: str) -> str:
    """What a command that must succeed wrote to stdout; `python` and `longtask` are those of the tests."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "PYTHONPATH": str(ROOT / "sdk"), "HOME": str(folder)}
    ran = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def task_of(block: Block) -> str:
    """`module:function` of the file's task."""
    function = block.text.partition("@longtask.task\ndef ")[2].partition("(")[0]
    return f"{str(block.file).removesuffix('.py')}:{function}"


def test_files_have_names_of_their_own() -> None:
    assert len({block.file for block in FILES}) == len(FILES) >= 5


@pytest.mark.parametrize("block", FILES, ids=named)
def test_every_task_runs_and_leaves_a_result(folder: Path, block: Block) -> None:
    assert run(folder, "python", "-m", "longtask", "run", task_of(block)).strip() not in ("", "null")


@pytest.mark.parametrize("block", FILES, ids=named)
def test_every_task_becomes_a_template_that_the_operator_would_take(folder: Path, block: Block) -> None:
    text = run(folder, "longtask", "template", task_of(block), "--image", "registry.example/work:1")
    template = LongTaskTemplate.from_api(yaml.safe_load(text))
    assert problems_of(template) == []
    assert template.spec.result_schema is not None


@pytest.mark.parametrize("block", COMMANDS, ids=named)
def test_commands_succeed(folder: Path, block: Block) -> None:
    run(folder, "bash", "-euo", "pipefail", "-c", block.text)


def test_the_tests_that_authors_are_shown_pass(folder: Path) -> None:
    run(folder, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *(str(block.file) for block in TESTS))
