"""`longtask answer`."""

import sys
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from longtask_api.longtask import LongTask
from longtask_api.reports import InputRequest, json_or_text
from longtask_cli.cluster import Cluster
from longtask_cli.options import KIND, Call, cluster_options, complete_task, given_call
from longtask_cli.problem import Problem
from longtask_cli.state import open_questions, phase
from longtask_cli.text import line, lines
from longtask_cli.values import BadValue, answer
from longtask_runtime.kube import KubeError

WRITES = 4
"""Writes tried for one answer; one that meets another answer is read and checked again."""


def _complete_question(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    # While an option has no value yet, click leaves the arguments aside.
    task = context.params.get("task") or next(iter(context.args), "")

    async def ask(cluster: Cluster) -> LongTask:
        return await cluster.task(task)

    try:
        questions = open_questions(given_call(context).run(ask)) if task else []
    except Problem:
        return []
    return [CompletionItem(each.id, help=line(each.message)) for each in questions if each.id.startswith(incomplete)]


@click.command("answer")
@click.argument("task", shell_complete=complete_task)
@click.argument("words", metavar="[ANSWER]", nargs=-1)
@click.option("--question", "id_", metavar="ID", shell_complete=_complete_question, help="Which of several questions.")
@cluster_options
def answer_(call: Call, task: str, words: Sequence[str], id_: str | None) -> None:
    """Answer a question of a task.

    ANSWER is JSON (true, 3, '{"keep": [1, 2]}') or plain text. Without it the question is shown and, on a terminal,
    asked. An answer cannot be changed.
    """

    async def read(cluster: Cluster) -> tuple[LongTask, InputRequest]:
        found = await cluster.task(task, exactly=True)
        return found, _chosen(found, id_, given=bool(words))

    found, question = call.run(read)
    text = " ".join(words) if words else _asked(found, question)

    async def give(cluster: Cluster) -> LongTask:
        return await _give(cluster, found, question.id, text)

    given = call.run(give)
    name = given.metadata.name
    click.echo(f"{KIND}/{name} question {question.id} answered with {line(given.answer_to(question.id) or '')}")


def _chosen(task: LongTask, id_: str | None, *, given: bool) -> InputRequest:
    """The question that is answered: the one with the id, else the only one. Raises Problem.

    An answer that was `given` before the question was shown needs the id once a second question was asked: a command
    that is repeated because its end was lost would answer the next question.
    """
    waiting, name = open_questions(task), task.metadata.name
    listed = "; ".join(f"{each.id}: {line(each.message)}" for each in waiting)
    if id_ is not None:
        found = next((each for each in task.status.input_requests if each.id == id_), None)
        if found is None:
            raise Problem(f"{name} has not asked {id_!r}. Open questions: {listed or 'none'}")
        return found
    if given and len(task.status.input_requests) == 1:
        return task.status.input_requests[0]
    if not waiting:
        if not task.status.input_requests:
            raise Problem(f"{name} has asked nothing; it is {phase(task)}")
        raise Problem(f"{name} has no open question; it is {phase(task)}. `longtask show {name}` shows the answers")
    if given or len(waiting) > 1:
        count = len(task.status.input_requests)
        raise Problem(f"{name} has asked {count} questions; say with --question which one is answered. Open: {listed}")
    return waiting[0]


def _asked(task: LongTask, question: InputRequest) -> str:
    """The answer that a person types now. Raises Problem where nobody can."""
    _check_open(task, question)
    shown = [lines(question.message)]
    if question.answer_schema:
        shown.append(f"The answer must fit {line(question.answer_schema)}")
    if question.default is not None:
        shown.append(f"Without an answer the work goes on with {line(question.default)}")
    click.echo("\n".join(shown), err=True)
    if not sys.stdin.isatty():
        raise Problem(f"no answer was given: longtask answer {task.metadata.name} --question {question.id} ANSWER")
    typed: str = click.prompt("Answer", type=str, err=True)
    return typed


async def _give(cluster: Cluster, task: LongTask, id_: str, text: str) -> LongTask:
    """The task with the answer, which is written once; the same answer may be given again. Raises Problem."""
    tried, current = 0, task
    while True:
        if current.metadata.uid != task.metadata.uid:
            raise Problem(f"{task.metadata.name} was deleted, and another task has its name now")
        question = _chosen(current, id_, given=True)
        written = _fitting(question, text)
        given = current.answer_to(id_)
        if given is not None and json_or_text(given) == json_or_text(written):
            return current
        _check_open(current, question)
        try:
            return await _respond(cluster, current, id_, written)
        except Problem as problem:
            cause = problem.__cause__
            tried += 1
            if not isinstance(cause, KubeError) or cause.status not in (409, 422) or tried == WRITES:
                raise
        current = await cluster.task(task.metadata.name, exactly=True)


async def _respond(cluster: Cluster, task: LongTask, id_: str, written: str) -> LongTask:
    response, path = {"requestId": id_, "value": written}, "/metadata/resourceVersion"
    if task.spec.input_responses:
        return await cluster.change(task, "inputResponses/-", response)
    unchanged = [{"op": "test", "path": path, "value": task.metadata.resource_version}]
    return await cluster.change(task, "inputResponses", [response], unchanged)


def _fitting(question: InputRequest, text: str) -> str:
    schema = json_or_text(question.answer_schema) if question.answer_schema is not None else {}
    try:
        return answer(schema if isinstance(schema, dict) else {}, text)
    except BadValue as error:
        raise Problem(
            f"the answer does not fit question {question.id}; it was not given: {error}. It must fit "
            f"{question.answer_schema or 'any JSON'}"
        ) from error


def _check_open(task: LongTask, question: InputRequest) -> None:
    given = task.answer_to(question.id)
    if given is not None:
        raise Problem(f"question {question.id} was already answered with {given}. The first answer counts")
    if question.timed_out:
        went_on = f"with the default {question.default}" if question.default is not None else "without an answer"
        raise Problem(f"question {question.id} timed out; the work went on {went_on}, and takes no answer any more")
    if task.is_terminal:
        raise Problem(f"{task.metadata.name} has ended ({phase(task)}), so it takes no answer")
    if task.spec.cancel_requested:
        raise Problem(f"{task.metadata.name} is being cancelled, so it takes no answer")
