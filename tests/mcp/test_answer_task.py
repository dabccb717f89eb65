"""An agent answers what a running task asks, over real HTTP, whoever else answers it at the same time."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from longtask_api.longtask import LongTask
from longtask_mcp.answer_task import Given, InputAnswers
from longtask_mcp.contract.errors import AnswerRefused, KubernetesRefused
from longtask_mcp.task_client import TaskClient
from longtask_runtime.validation import Validator
from tests.mcp.replica import ERAS, Agent, Replica, agent
from tests.mcp.world import NOW, World, eventually

Session = Callable[..., AbstractAsyncContextManager[Agent]]
eras = pytest.mark.parametrize("era", ERAS)

REPLICAS = {"type": "object", "properties": {"replicas": {"type": "integer"}}, "required": ["replicas"]}
DEPLOY = {"id": "deploy", "message": "Deploy?", "answerSchema": '{"type": "boolean"}', "createdTime": NOW}
SIZE = {"id": "size", "message": "How many?", "answerSchema": json.dumps(REPLICAS), "createdTime": NOW}
FREE = {"id": "free", "message": "Anything else?", "createdTime": NOW}
WAITING = {"phase": "WaitingForInput", "startTime": NOW, "attemptCount": 1}


async def asking(world: World, session: Agent, key: str, *asked: dict[str, Any]) -> str:
    """A task that waits for answers, known to the session's server; its id."""
    task_id = (await session.call("model_training", model_name="digits", idempotency_key=key)).task_id
    await world.set_status(task_id, **WAITING, inputRequests=list(asked))

    async def known() -> bool:
        return "questions" in (await session.call("check_task_status", task_id=task_id)).envelope

    await eventually(known, "the questions")
    return task_id


async def given(world: World, task_id: str) -> dict[str, str]:
    return {each.request_id: each.value for each in (await world.task(task_id)).spec.input_responses}


@eras
async def test_a_question_is_seen_answered_and_gone(
    world: World, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        task_id = await asking(world, session, new_key(), DEPLOY, SIZE)
        status = await session.call("check_task_status", task_id=task_id)
        assert [each["id"] for each in status.envelope["questions"]] == ["deploy", "size"]
        assert "waiting for input: 2 questions" in (await session.call("list_tasks")).text

        first = await session.call("answer_task", task_id=task_id, question_id="size", answer={"replicas": 3})
        assert not first.error, first.text
        assert first.text.startswith(
            'Question size is answered with {"replicas":3}. The work reads it within seconds. The task: running, '
            "waiting for input: Deploy?"
        )
        assert first.envelope["answered"] == {"question_id": "size", "answer": {"replicas": 3}}
        assert [each["id"] for each in first.envelope["questions"]] == ["deploy"]
        assert first.envelope["next"]["arguments"] == {"task_id": task_id, "question_id": "deploy"}
        step = first.envelope["next"]
        second = await session.call(step["tool"], **step["arguments"], answer=False)
        assert "questions" not in second.envelope
        assert second.envelope["next"]["tool"] == "check_task_status"
        assert await given(world, task_id) == {"size": '{"replicas":3}', "deploy": "false"}


@eras
async def test_a_wrong_answer_is_told_what_and_where_and_is_not_given(
    world: World, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        task_id = await asking(world, session, new_key(), DEPLOY, SIZE)
        wrong = {
            ("size", '{"replicas": "many"}'): '\n- "{\\"replicas\\": \\"many\\"}" is not of type "object"',
            ("size", "x"): 'The answer does not fit question size; it was not given:\n- "x" is not of type "object"',
            ("deploy", "maybe"): '\n- "maybe" is not of type "boolean"\nIts schema: {"type": "boolean"}',
            ("other", "x"): "question_id: this task has not asked 'other'. Open: deploy: Deploy?; size: How many?",
            (None, "x"): "question_id: this task has asked 2 questions, name the one that you answer; nothing was "
            "answered. Open: deploy: Deploy?; size: How many?",
        }
        for (question, answer), told in wrong.items():
            named = {"question_id": question} if question else {}
            reply = await session.call("answer_task", task_id=task_id, answer=answer, **named)
            assert reply.error
            assert told in reply.text
        reply = await session.call("answer_task", task_id=task_id, question_id="size", answer={"replicas": "many"})
        assert '\n- replicas: "many" is not of type "integer"' in reply.text
        reply = await session.call("answer_task", task_id=task_id, question_id="size")
        assert reply.text.startswith("answer: is missing")
        assert await given(world, task_id) == {}


@eras
@pytest.mark.parametrize(
    ("question", "answer", "text"),
    [
        (DEPLOY, "true", "true"),
        (SIZE, '{"replicas": 3}', '{"replicas":3}'),
        (FREE, "true", '"true"'),
        (FREE, None, "null"),
        (FREE, [1, {"é": "😀" * 900}], f'[1,{{"é":"{"😀" * 900}"}}]'),
    ],
    ids=["boolean", "object", "text", "null", "characters"],
)
async def test_the_only_open_question_needs_no_name_and_an_answer_is_read_as_it_fits(
    world: World,
    as_alice: Session,
    new_key: Callable[[], str],
    question: dict[str, Any],
    answer: Any,
    text: str,
    era: str,
) -> None:
    async with as_alice(era) as session:
        task_id = await asking(world, session, new_key(), question)
        reply = await session.call("answer_task", task_id=task_id, answer=answer)
        assert not reply.error, reply.text
        assert await given(world, task_id) == {question["id"]: text}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("x" * 4095, "answer: has 4097 characters as JSON, 4096 are allowed"),
        (nested(150), "is nested deeper than 100 levels"),
        ("[" * 2000 + "]" * 2000, '"[[[['),
    ],
    ids=["large", "deep", "very deep"],
)
async def test_an_answer_that_cannot_be_kept_is_refused(
    world: World, as_alice: Session, new_key: Callable[[], str], answer: Any, told: str
) -> None:
    async with as_alice() as session:
        task_id = await asking(world, session, new_key(), SIZE)
        reply = await session.call("answer_task", task_id=task_id, answer=answer)
        assert reply.error
        assert told in reply.text
        assert await given(world, task_id) == {}


@eras
async def test_the_same_answer_again_is_met_and_another_one_is_refused(
    world: World, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        task_id = await asking(world, session, new_key(), DEPLOY)
        for _ in range(2):
            reply = await session.call("answer_task", task_id=task_id, answer=True)
            assert not reply.error
            assert reply.text.startswith("Question deploy is answered with true.")
        other = await session.call("answer_task", task_id=task_id, answer=False)
        assert other.error
        assert other.text == (
            "Question deploy was already answered with true. The first answer counts; yours was not given."
        )
        assert await given(world, task_id) == {"deploy": "true"}
        await world.set_status(task_id, phase="Succeeded", completionTime=NOW)
        late = await session.call("answer_task", task_id=task_id, answer=True)
        assert late.text.startswith("Question deploy is answered with true. The task: completed")


@eras
async def test_an_answer_that_is_sent_again_never_reaches_the_next_question(
    world: World, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        task_id = await asking(world, session, new_key(), DEPLOY)
        first = await session.call("answer_task", task_id=task_id, answer=True)
        assert not first.error, first.text
        await world.set_status(task_id, **WAITING, inputRequests=[DEPLOY, DEPLOY | {"id": "production"}])
        again = await session.call("answer_task", task_id=task_id, answer=True)
        assert again.error
        assert again.text == (
            "question_id: this task has asked 2 questions, name the one that you answer; nothing was answered. Open: "
            "production: Deploy?; answered before: deploy with true."
        )
        assert again.envelope == {"error_code": "question_not_named", "message": again.text}
        assert await given(world, task_id) == {"deploy": "true"}
        met = await session.call("answer_task", task_id=task_id, question_id="deploy", answer=True)
        assert met.envelope["answered"] == {"question_id": "deploy", "answer": True}


@eras
async def test_a_question_that_timed_out_or_whose_task_ended_takes_no_answer(
    world: World, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        task_id = await asking(world, session, new_key(), DEPLOY | {"default": "false"}, FREE)
        timed_out = DEPLOY | {"default": "false", "timedOut": True}
        await world.set_status(task_id, **WAITING, inputRequests=[timed_out, FREE])
        reply = await session.call("answer_task", task_id=task_id, question_id="deploy", answer=True)
        assert reply.error
        assert "timed out: nobody answered in time, and the work went on with the default false." in reply.text
        await world.set_status(task_id, phase="Succeeded", completionTime=NOW)
        reply = await session.call("answer_task", task_id=task_id, answer="x", question_id="free")
        assert reply.text.startswith("The task has ended (completed), so no answer is taken.")
        reply = await session.call("answer_task", task_id=task_id, answer="x")
        assert reply.text.startswith("No question of this task is open; its status is completed.")


async def test_a_question_that_was_asked_a_moment_ago_is_answered_at_once(
    world: World, as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as session:
        for _ in range(5):
            key = new_key()
            task_id = (await session.call("model_training", model_name="digits", idempotency_key=key)).task_id
            await world.set_status(task_id, **WAITING, inputRequests=[DEPLOY])
            assert not (await session.call("answer_task", task_id=task_id, answer=True)).error


async def test_the_tasks_of_others_cannot_be_answered(
    world: World, as_alice: Session, replica: Replica, bob: str, new_key: Callable[[], str]
) -> None:
    async with as_alice() as session, agent(replica.url, bob) as other:
        task_id = await asking(world, session, new_key(), DEPLOY)
        reply = await other.call("answer_task", task_id=task_id, answer=True)
        assert reply.error
        assert reply.text.startswith(f"task not found: {task_id}.")
        assert await given(world, task_id) == {}


async def test_of_two_answers_at_once_the_first_counts_and_the_loser_is_told_which(
    world: World, replica: Replica, other_replica: Replica, alice: str, new_key: Callable[[], str]
) -> None:
    async with agent(replica.url, alice) as here, agent(other_replica.url, alice) as there:
        for _ in range(5):
            task_id = await asking(world, here, new_key(), FREE)
            replies = await asyncio.gather(
                *(
                    session.call("answer_task", task_id=task_id, answer=f"from {n} {name}")
                    for n in range(3)
                    for name, session in (("here", here), ("there", there))
                )
            )
            [winner] = (await given(world, task_id)).values()
            won = [reply for reply in replies if not reply.error]
            assert [winner in reply.text for reply in won] == [True]
            lost = [reply.text for reply in replies if reply.error]
            assert (
                lost
                == [f"Question free was already answered with {winner}. The first answer counts; yours was not given."]
                * 5
            )


async def test_answers_to_different_questions_at_once_are_all_given(
    world: World, replica: Replica, other_replica: Replica, alice: str, new_key: Callable[[], str]
) -> None:
    asked = [FREE | {"id": f"q{n}"} for n in range(4)]
    async with agent(replica.url, alice) as here, agent(other_replica.url, alice) as there:
        task_id = await asking(world, here, new_key(), *asked)
        replies = await asyncio.gather(
            *(
                session.call("answer_task", task_id=task_id, question_id=f"q{n}", answer=n)
                for n, session in enumerate((here, there, here, there))
            )
        )
        assert [reply.text for reply in replies if reply.error] == []
        assert await given(world, task_id) == {f"q{n}": str(n) for n in range(4)}


@pytest.fixture
def validator() -> Iterator[Validator]:
    with Validator() as started:
        yield started


@pytest.fixture
def tasks(world: World) -> TaskClient:
    return TaskClient(world.client, world.namespace)


async def made(world: World, tasks: TaskClient, name: str, *asked: dict[str, Any]) -> LongTask:
    uid = await world.make_task(name)
    await world.set_status(uid, **WAITING, inputRequests=list(asked))
    task = await tasks.read(name)
    assert task is not None
    return task


async def test_an_answer_never_reaches_another_task_of_the_same_name(
    world: World, tasks: TaskClient, validator: Validator
) -> None:
    old = await made(world, tasks, "answer-reborn", FREE)
    await world.delete(f"{world.tasks_path}/{old.metadata.name}")
    answering = InputAnswers(tasks, validator)
    assert await answering.answer(old, None, "x") is None
    reborn = await made(world, tasks, "answer-reborn", FREE)
    assert await answering.answer(old, None, "x") is None
    with pytest.raises(KubernetesRefused):
        await tasks.respond(old, "free", '"x"')
    assert await given(world, reborn.metadata.uid) == {}


async def test_a_write_that_comes_in_between_does_not_lose_an_answer(
    world: World, tasks: TaskClient, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await made(world, tasks, "answer-between", FREE, FREE | {"id": "other"})
    really = tasks.respond

    async def late(current: LongTask, question_id: str, answer: str) -> LongTask:
        monkeypatch.undo()
        await tasks.respond(current, "other", '"first"')
        return await really(current, question_id, answer)

    monkeypatch.setattr(tasks, "respond", late)
    answer = await InputAnswers(tasks, validator).answer(task, "free", "mine")
    assert isinstance(answer, Given)
    assert {each.request_id: each.value for each in answer.task.spec.input_responses} == {
        "other": '"first"',
        "free": '"mine"',
    }


async def test_the_refusal_of_the_api_server_is_told_in_the_end(
    world: World, tasks: TaskClient, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await made(world, tasks, "answer-refused", FREE)
    tried: list[str] = []

    async def refuse(current: LongTask, question_id: str, answer: str) -> LongTask:
        tried.append(question_id)
        raise KubernetesRefused("no")

    monkeypatch.setattr(tasks, "respond", refuse)
    with pytest.raises(KubernetesRefused):
        await InputAnswers(tasks, validator).answer(task, "free", "mine")
    assert len(tried) == 4


async def test_a_pattern_that_would_backtrack_for_ever_decides_at_once(
    world: World, tasks: TaskClient, validator: Validator
) -> None:
    slow = FREE | {"answerSchema": '{"pattern": "^(a+)+$"}'}
    task = await made(world, tasks, "answer-slow", slow)
    with pytest.raises(AnswerRefused, match=r'"a+!" does not match "\^\(a\+\)\+\$"'):
        await InputAnswers(tasks, validator).answer(task, None, "a" * 40 + "!")
    assert await given(world, task.metadata.uid) == {}
