"""The examples, each as its folder has it, from the call of its tool to its result."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from longtask_api.longtask import LongTask
from tests.e2e.conftest import Session
from tests.e2e.following import ended, in_phase, told
from tests.e2e.installation import AGENTS, TASKS, Installation
from tests.e2e.programs import kubectl, run
from tests.e2e.templates import EXAMPLES_FOLDER, TEMPLATES
from tests.mcp.replica import Agent, Reply
from tests.mcp.world import eventually
from tests.patience import PATIENCE

KILL = """
import os, signal
for process in filter(str.isdecimal, os.listdir("/proc")):
    with open(f"/proc/{process}/cmdline", "rb") as file:
        if b"longtask\\0run\\0train" in file.read():
            os.kill(int(process), signal.SIGKILL)
"""
EPOCH = re.compile(r"epoch (\d+)/10 validation")
MADE_BY_COMMAND = {"model_training": "e2e-model-training", "data_processing": "e2e-data-processing"}
"""Folders whose template is made from the code, and the templates that have the image of each."""


@dataclass(frozen=True)
class Training:
    """A training that was killed: how it was when that attempt had ended, and that attempt's log; how it ended, and the
    last attempt's log.
    """

    between: LongTask
    first_log: str
    reply: Reply
    task: LongTask
    log: str


@pytest.fixture(scope="module")
async def killed(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> AsyncIterator[asyncio.Task[Training]]:
    """A training of 10 epochs whose process is killed after a few; it goes on while the other examples are tried."""
    story = asyncio.create_task(killed_on_its_way(installation, as_alice, new_key()))
    yield story
    story.cancel()


async def killed_on_its_way(installation: Installation, as_alice: Session, key: str) -> Training:
    async with as_alice() as agent:
        started = await agent.call("e2e_model_training", epochs=10, idempotency_key=key)
        path = f"{installation.world.tasks_path}/{started.envelope['name']}"
        saved: set[int] = set()

        async def seen() -> LongTask:
            return LongTask.from_api(await installation.world.get(path))

        async def three_epochs_saved() -> bool:
            checkpoint = (await seen()).status.checkpoint
            saved.update({checkpoint.sequence} if checkpoint else ())
            return len(saved) == 3

        async def first_attempt_recorded() -> list[LongTask]:
            task = await seen()
            return [task] if task.status.attempts and task.status.attempts[0].reason else []

        await eventually(three_epochs_saved, "three checkpoints")
        await installation.in_its_pod(started.task_id, "python", "-c", KILL)
        [between] = await eventually(first_attempt_recorded, "the end of the first attempt")
        first_log = (await kubectl("logs", "-n", TASKS, (between.status.attempts or [])[0].pod_name)).done()
        reply = await ended(agent, started.task_id)
        log = await agent.call("get_task_logs", task_id=started.task_id)
        return Training(between, first_log, reply, await seen(), log.envelope["text"])


async def test_data_processing_asks_its_agent_and_goes_on_with_the_answer(
    killed: object, as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as agent:
        task = await agent.call("e2e_data_processing", idempotency_key=new_key())
        waiting = await in_phase(agent, task.task_id, "WaitingForInput")
        [question] = waiting.envelope["questions"]
        given = await agent.call("answer_task", task_id=task.task_id, question_id=question["id"], answer="drop")
        assert not given.error, given.text
        reply = await ended(agent, task.task_id)
        result, cleaned = reply.envelope["result"], await whole(agent, task.task_id, artifact="cleaned.csv")
    assert "Drop these rows, or keep them?" in waiting.text
    assert f'answer_task(task_id="{task.task_id}", question_id="{question["id"]}", answer=...)' in waiting.text
    assert (question["schema"]["enum"], question["default"]) == (["drop", "keep"], "keep")
    assert result["suspicious_rows"] == "drop"
    wrong = {each["line"] for each in result["suspects"]}
    assert result["rows"] - result["rows_kept"] == len(wrong) > 0
    table = (await run("python3", str(EXAMPLES_FOLDER / "data_processing" / "sample.py"))).done().splitlines()
    assert cleaned.splitlines() == [row for line, row in enumerate(table, 1) if line not in wrong]
    [artifact] = reply.envelope["artifacts"]
    assert artifact["sha256"] == hashlib.sha256(cleaned.encode()).hexdigest()
    assert artifact["uri"].startswith("configmap:")


async def test_data_processing_takes_the_default_when_nobody_answers(
    killed: object, as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as agent:
        task = await agent.call("e2e_data_processing", answer_seconds=2, idempotency_key=new_key())
        reply = await ended(agent, task.task_id)
        late = await agent.call("answer_task", task_id=task.task_id, answer="drop")
    assert reply.envelope["status"] == "completed", reply.text
    assert reply.envelope["result"]["suspicious_rows"] == "keep"
    assert reply.envelope["result"]["rows_kept"] == reply.envelope["result"]["rows"]
    assert late.error
    assert "timed out" in late.text


async def test_the_bash_task_tells_its_progress_and_goes_on_from_its_checkpoint(
    installation: Installation, killed: object, as_alice: Session, new_key: Callable[[], str]
) -> None:
    rounds = 30
    async with as_alice() as agent:
        task = await agent.call("e2e_bash_task", seed="a seed", rounds=rounds, idempotency_key=new_key())
        seen = await told(agent, task.task_id, "round ")
        await installation.in_its_pod(task.task_id, "bash", "-c", "kill -TERM 1")
        reply = await ended(agent, task.task_id)
        log = await agent.call("get_task_logs", task_id=task.task_id, tail_lines=2000)
    share, current = re.findall(rf"running (\d+)% \(round (\d+)/{rounds}\)", seen.text)[0]
    assert int(share) == 100 * int(current) // rounds
    hashed = "a seed"
    for _ in range(100 * rounds):
        hashed = hashlib.sha256(hashed.encode()).hexdigest()
    assert reply.envelope["result"] == {"summary": "3000 hashes", "rounds": rounds, "hash": hashed}
    assert reply.envelope["attempts"] == 2
    [first_round] = re.findall(rf"begins after round (\d+) of {rounds}", log.text)
    assert int(first_round) >= int(current)


@pytest.mark.parametrize("folder", MADE_BY_COMMAND)
async def test_a_template_is_what_the_command_in_its_first_line_writes(
    installation: Installation, killed: object, folder: str
) -> None:
    text = (EXAMPLES_FOLDER / folder / "template.yaml").read_text()
    [command] = re.findall(r"^# Made by `longtask (.*)`$", text, re.MULTILINE)
    template = TEMPLATES[MADE_BY_COMMAND[folder]]
    [container] = template["spec"]["podTemplate"]["spec"]["containers"]
    name, where = folder.replace("_", "-"), ("-n", AGENTS)
    work = (container["command"][0], "-m", "longtask", *command.split())
    image = (f"--image={container['image']}", "--restart=Never", "--command", "--")
    (await kubectl("run", *where, name, *image, *work)).done()
    (
        await kubectl(
            "wait", *where, f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={PATIENCE}s"
        )
    ).done()
    assert (await kubectl("logs", *where, name)).done() == text


async def test_a_training_that_is_killed_goes_on_with_the_epoch_in_which_it_was(killed: asyncio.Task[Training]) -> None:
    training = await killed
    assert training.reply.envelope["status"] == "completed", training.reply.text
    first = training.reply.envelope["result"]["first_epoch"]
    assert f"attempt 2 begins with epoch {first}" in training.log
    done, made = ([int(each) for each in EPOCH.findall(log)] for log in (training.first_log, training.log))
    assert done == list(range(1, len(done) + 1))
    assert first in (len(done), len(done) + 1), "an epoch is told, and then saved"
    assert made == list(range(first, 11))


async def test_a_training_that_was_killed_tells_of_both_attempts(killed: asyncio.Task[Training]) -> None:
    training = await killed
    checkpoint, attempts = training.between.status.checkpoint, training.task.status.attempts or []
    assert checkpoint is not None
    assert checkpoint.attempt == 1
    assert [(each.number, each.reason, each.exit_code) for each in attempts] == [(1, "Error", 137), (2, "Completed", 0)]
    assert len({each.pod_uid for each in attempts}) == 2


async def test_a_training_tells_its_progress_and_keeps_its_model(killed: asyncio.Task[Training]) -> None:
    training = await killed
    progress = training.reply.envelope["progress"]
    assert (progress["fraction"], progress["display"]) == (1, "100% (epoch 10/10)")
    assert progress["metrics"].keys() == {"loss", "validation"}
    assert progress["metrics"]["validation"] == pytest.approx(
        training.reply.envelope["result"]["validation_score"], abs=1e-4
    )
    [artifact] = training.reply.envelope["artifacts"]
    assert artifact["name"] == "model.pickle"
    assert artifact["size"] > 32 * 1024


async def whole(agent: Agent, task_id: str, **what: str) -> str:
    """All pages of a result or an artifact."""
    first = await agent.call("get_task_results", task_id=task_id, **what)
    assert not first.error, first.text
    key = "text" if what else "result"
    rest = [
        (await agent.call("get_task_results", task_id=task_id, page=page, **what)).envelope[key]
        for page in range(2, first.envelope.get("pages", 1) + 1)
    ]
    return "".join([first.envelope[key], *rest])
