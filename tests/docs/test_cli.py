"""What the page for the command line shows works, with a real operator."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from longtask_cli import problem
from longtask_cli.program import COMMANDS
from tests.docs.pages import ROOT, blocks
from tests.operator.reporting import Caller
from tests.operator.tasks import WHEN_TOLD, Tasks, container, template_spec
from tests.patience import PATIENCE

PAGE = "docs/cli.md"
TEXT = (ROOT / PAGE).read_text()
START, WAIT, LOOK, CONTROL = (block.text for block in blocks("sh", "person", PAGE))
(ANSWER,) = (block.text for block in blocks("sh", "asked", PAGE))
(REFUSED,) = (block.text for block in blocks("text", page=PAGE))
EPOCHS = {"type": "object", "properties": {"epochs": {"type": "integer", "minimum": 1, "default": 10}}}
TRAINS = """
import os
print("trained", os.environ["LONGTASK_PARAM_EPOCHS"], "epochs")
open("/dev/termination-log", "w").write('{"loss": 0.5}')
"""


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    trains = container(command=["python3", "-c", TRAINS])
    tasks.template("model-training", template_spec({"containers": [trains]}, parametersSchema=EPOCHS))
    tasks.template("documented", template_spec())


@pytest.fixture
def shell(tasks: Tasks) -> Callable[[str], str]:
    """Runs a block of the page as a person would; what it printed, errors included."""

    def run(commands: str) -> str:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LONGTASK_NAMESPACE": tasks.kube.namespace,
        }
        ran = subprocess.run(
            ["bash", "-euc", commands],
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    return run


@pytest.mark.cluster
def test_a_task_is_started_waited_for_and_read(shell: Callable[[str], str], tasks: Tasks) -> None:
    told = shell(START)
    assert "epochs  integer, minimum 1, default 10" in told
    assert "model-training" in told
    (name, second) = re.findall(r"longtask\.longtask\.dev/([\w-]+) started", shell(WAIT))
    assert tasks.status(second)["phase"] == "Succeeded"
    told = shell(LOOK.replace("NAME", name))
    assert "trained 3 epochs\n" in told
    assert '"loss": 0.5' in told
    assert f"{name} has no artifacts." in told


@pytest.mark.cluster
def test_what_is_shown_of_a_value_that_does_not_fit_is_said(shell: Callable[[str], str]) -> None:
    command, _, expected = REFUSED.partition("\n")
    assert shell(f"{command.removeprefix('$ ')} || [ $? = 4 ]") == expected


@pytest.mark.cluster
def test_a_task_is_answered_suspended_resumed_and_cancelled(
    shell: Callable[[str], str], tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller]
) -> None:
    name = unique("documented")
    tasks.run(name, "documented", WHEN_TOLD)
    pod_of(name)
    tasks.wait_message(name, "running")
    assert pod_of(name).post("questions", {"id": "go-on", "message": "Go on?"}).code == 200
    shell(ANSWER.replace("NAME", name))
    assert tasks.get(name)["spec"]["inputResponses"] == [{"requestId": "go-on", "value": '"yes"'}]
    shell(CONTROL.replace("NAME", name))
    assert tasks.wait(name, "Cancelled")["failure"]["reason"] == "Cancelled"


def test_the_exit_codes_are_those_of_the_program() -> None:
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)}
    own = {value for name, value in vars(problem).items() if name.isupper() and isinstance(value, int)}
    assert table == own | {2}


def test_every_command_is_explained_and_exists() -> None:
    named = set(re.findall(r"longtask ([a-z]+)\b", TEXT))
    named |= set(re.findall(r"`([a-z]+)`", TEXT)) & set(COMMANDS)
    assert named - set(COMMANDS) <= {"template", "run"}
    assert set(COMMANDS) - named == set()
