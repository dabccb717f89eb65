"""What the pages show for the pod of a task, and for who looks after tasks, works with the real task API."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import blocks
from tests.kube import eventually
from tests.operator.process import OperatorProcess
from tests.operator.reporting import pod_token
from tests.operator.tasks import IMAGE, Tasks, template_spec

pytestmark = pytest.mark.cluster

SCRIPT_BEGIN, *MIDDLE, SCRIPT_END = (block.text for block in blocks("bash", "pod"))
SCRIPT = "".join([SCRIPT_BEGIN, *MIDDLE, SCRIPT_END])
BY_HAND = blocks("sh", "cluster", "docs/troubleshooting.md")
LONG = "import time; time.sleep(600)"


@pytest.fixture(scope="module", autouse=True)
def template(tasks: Tasks) -> None:
    tasks.template("documented", template_spec())


@pytest.fixture
def by_hand(tasks: Tasks) -> Callable[[str, str], str]:
    """Does what the troubleshooting page shows in its block with that word, for a task; what was printed."""

    def run(word: str, name: str) -> str:
        (block,) = [block for block in BY_HAND if word in block.text]
        commands = block.text.replace("longtask-tasks", tasks.kube.namespace).replace("NAME", name)
        ran = subprocess.run(
            ["bash", "-euc", commands],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    return run


def test_the_smallest_template_and_task_work(tasks: Tasks) -> None:
    template, task = (
        yaml.safe_load(block.text) for block in blocks("yaml", page="docs/authors.md") if "apiVersion" in block.text
    )
    template["spec"]["podTemplate"]["spec"]["containers"][0]["image"] = IMAGE
    tasks.template(template["metadata"]["name"], template["spec"])
    tasks.kube.create(tasks.kube.path("longtasks"), task).done()
    status = tasks.wait(task["metadata"]["name"], "Succeeded", "Failed")
    assert status["result"]["value"] == {"primes": 168}, status


@dataclass(frozen=True)
class Pod:
    """A task that runs, and what its pod has: variables, and a folder to work in."""

    task: str
    environment: dict[str, str]
    folder: Path

    def bash(self, script: str) -> subprocess.Popen[str]:
        """Runs the script as the pod's command would; what it prints is in one stream."""
        command = ["bash", "-euo", "pipefail", "-c", script]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )


@pytest.fixture
def pod(operator: OperatorProcess, tasks: Tasks, unique: Callable[[str], str], tmp_path: Path) -> Pod:
    for program in ("curl", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on the PATH")
    name = unique("documented")
    uid = tasks.run(name, "documented", LONG)
    tasks.wait(name, "Running")
    (document,) = tasks.pods(uid)
    token, folder = tmp_path / "token", tmp_path / "work"
    token.write_text(pod_token(tasks.kube, document))
    folder.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "LONGTASK_REPORT_URL": f"http://127.0.0.1:{operator.task_api_port}/v1/report",
        "LONGTASK_TOKEN_FILE": str(token),
    }
    return Pod(name, environment, folder)


def work(pod: Pod, script: str) -> None:
    """Makes convert.sh, which the page lets do the work."""
    file = pod.folder / "convert.sh"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_curl_tells_all_that_a_task_can_tell(tasks: Tasks, by_hand: Callable[[str, str], str], pod: Pod) -> None:
    work(pod, "exit 0")
    process = pod.bash(SCRIPT)
    try:
        tasks.wait(pod.task, "WaitingForInput")
        assert "7 files are broken" in by_hand("wide", pod.task)
        by_hand('"requestId":"go-on"', pod.task)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert '"value":true' in (pod.folder / "answer.json").read_text()
    assert (pod.folder / "last.json").read_text() == '{"file": 3}\n'
    status = tasks.status(pod.task)
    assert (status["progress"]["display"], status["progress"]["metrics"]) == ("30% (file 3/10)", {"rows": 12})
    assert status["checkpoint"]["text"] == '{"file": 3}\n'
    result = status["result"]
    assert (result["value"], result["summary"]) == ({"files": 10, "broken": 7}, "10 files, 7 broken")
    assert [artifact["name"] for artifact in result["artifacts"]] == ["rows.csv"]


def test_a_script_that_is_stopped_saves_its_checkpoint(tasks: Tasks, pod: Pod) -> None:
    work(pod, """echo '{"file": 4}' > state.json; touch works; exec sleep 600""")
    process = pod.bash(SCRIPT_BEGIN + SCRIPT_END)
    try:
        eventually((pod.folder / "works").exists, bool)
        process.terminate()
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 143, output
    assert tasks.status(pod.task)["checkpoint"]["text"] == '{"file": 4}\n'


def test_a_person_answers_again_and_ends_the_task(tasks: Tasks, by_hand: Callable[[str, str], str], pod: Pod) -> None:
    ask = """report POST questions --data '{"id": "%s", "message": "Which?"}'\n"""
    asking = pod.bash(SCRIPT_BEGIN + ask % "go-on" + ask % "which")
    output, _ = asking.communicate(timeout=120)
    assert asking.returncode == 0, output
    by_hand('"requestId":"go-on"', pod.task)
    by_hand("inputResponses/-", pod.task)
    given = {each["requestId"]: each["value"] for each in tasks.get(pod.task)["spec"]["inputResponses"]}
    assert given == {"go-on": "true", "which": '"all"'}
    by_hand("cancelRequested", pod.task)
    assert tasks.wait(pod.task, "Cancelled")["failure"]["reason"] == "Cancelled"


def test_what_is_done_about_a_lost_node_is_taken(tasks: Tasks) -> None:
    (block,) = blocks("sh", "dryrun", "docs/troubleshooting.md")
    (node, *_) = tasks.kube.get("/api/v1/nodes").done()["items"]
    for line in block.text.replace("NODE", node["metadata"]["name"]).splitlines():
        command = [*line.split(), "--dry-run=server"]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
