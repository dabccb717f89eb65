"""What the pages show for bash goes on where a report is refused, or has nobody to go to: without a cluster."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.kube import eventually
from tests.sdk.api import ENDED, TOKEN, Reply, TaskApi, task_api

REPORT, PROGRESS, CHECKPOINT, QUESTION, _, TRAP = (block.text for block in blocks("bash", "pod"))
REFUSED = Reply(403, {"reason": "NotTheNewestAttempt", "detail": "another attempt has taken over"})
NOT_YET = Reply(503, {"reason": "AttemptNotKnown", "detail": "try again"}, (("Retry-After", "1"),))
TOO_LARGE = Reply(413, {"reason": "TooLarge", "detail": "900 KiB are allowed"})


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TaskApi]:
    with task_api(tmp_path) as api:
        yield api


class Script:
    """A script of bash, as a pod's command runs it."""

    def __init__(self, folder: Path, environment: dict[str, str], *command: str) -> None:
        self._process = subprocess.Popen(
            ["bash", *command],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def ended(self) -> tuple[int, str]:
        """The exit code, and what it printed."""
        with self._process:
            try:
                printed, _ = self._process.communicate(timeout=60)
            finally:
                with suppress(ProcessLookupError):  # nothing is left of it
                    os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.returncode, printed


def page(folder: Path, environment: dict[str, str], *parts: str) -> Script:
    return Script(folder, environment, "-euo", "pipefail", "-c", "\n".join(parts))


@pytest.mark.parametrize("answer", [None, REFUSED, TOO_LARGE, ENDED])
def test_the_work_goes_on_where_nothing_can_be_reported(api: TaskApi, tmp_path: Path, answer: Reply | None) -> None:
    api.always = answer
    environment = {} if answer is None else api.environment
    code, printed = page(tmp_path, environment, REPORT, PROGRESS, CHECKPOINT, "echo done").ended()
    assert (code, printed.splitlines()[-1]) == (0, "done"), printed
    assert ("POST progress: no LONGTASK_REPORT_URL" if answer is None else answer.body["reason"]) in printed
    assert not (tmp_path / "last.json").exists()


@pytest.mark.parametrize("kept", [None, b"", b"one\ntwo\n\n", b"\0\xff"])
def test_what_a_call_that_was_repeated_prints_is_its_last_answer_alone(
    api: TaskApi, tmp_path: Path, kept: bytes | None
) -> None:
    api.checkpoint = None if kept is None else (kept, "application/octet-stream")
    api.instead["GET /checkpoint"] = [NOT_YET, NOT_YET]
    code, printed = page(tmp_path, api.environment, REPORT, "report GET checkpoint > got").ended()
    assert (code, (tmp_path / "got").read_bytes()) == (0, kept or b""), printed
    assert len(api.requests("GET", "/checkpoint")) == 3


@pytest.mark.parametrize("answer", [None, REFUSED])
def test_a_trace_of_what_runs_does_not_show_the_token(api: TaskApi, tmp_path: Path, answer: Reply | None) -> None:
    api.always = answer
    script = str(ROOT / "examples" / "bash" / "task.sh")
    own = {"LONGTASK_PARAM_ROUNDS": "1", "LONGTASK_PARAM_SEED": "a", "LONGTASK_TERMINATION_LOG": str(tmp_path / "end")}
    for traced in (
        page(tmp_path, api.environment, "set -x", REPORT, PROGRESS, CHECKPOINT),
        Script(tmp_path, api.environment | own, "-x", script),
    ):
        code, printed = traced.ended()
        assert (code, "+ curl " in printed, TOKEN in printed) == (0, True, False), printed
    assert {seen.headers["authorization"] for seen in api.seen} == {f"Bearer {TOKEN}"}


def test_the_wait_for_an_answer_ends_where_it_is_refused(api: TaskApi, tmp_path: Path) -> None:
    api.instead["GET /questions/go-on"] = [REFUSED]
    code, printed = page(tmp_path, api.environment, REPORT, QUESTION, "echo done").ended()
    assert (code, "NotTheNewestAttempt" in printed, "done" in printed) == (1, True, False)
    assert len(api.requests("GET", "/questions/go-on")) == 1


def test_the_wait_for_an_answer_ends_with_the_answer(api: TaskApi, tmp_path: Path) -> None:
    api.instead["GET /questions/go-on"] = [Reply(200, b'{"id":"go-on","state":"Open"}')]
    script = page(tmp_path, api.environment, REPORT, QUESTION)
    api.wait_for("GET", "/questions/go-on", 2)
    api.answer("go-on", value=True)
    assert script.ended()[0] == 0
    assert json.loads((tmp_path / "answer.json").read_text())["value"] is True


@pytest.mark.parametrize("answer", [TOO_LARGE, REFUSED, None])
@pytest.mark.parametrize(
    "work", ["touch works; exec sleep 600", "touch works; trap '' TERM; for i in 1 2; do sleep 1; done"]
)
def test_a_script_that_is_stopped_ends_with_143_whatever_becomes_of_its_checkpoint(
    api: TaskApi, tmp_path: Path, answer: Reply | None, work: str
) -> None:
    api.always = answer
    (tmp_path / "convert.sh").write_text(f"#!/bin/sh\n{work}\n")
    (tmp_path / "convert.sh").chmod(0o755)
    script = page(tmp_path, {} if answer is None else api.environment, REPORT, TRAP)
    eventually((tmp_path / "works").exists, bool)
    script.stop()
    code, printed = script.ended()
    assert code == 143, printed


def test_a_script_that_is_stopped_as_soon_as_its_work_has_started_ends_with_143(tmp_path: Path) -> None:
    """Before the command that follows the start of the work."""
    (tmp_path / "convert.sh").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "convert.sh").chmod(0o755)
    at_once = "trap '[ -z \"${!-}\" ] || [ -e stopped ] || { touch stopped; kill $$; }' DEBUG"
    code, printed = page(tmp_path, {}, REPORT, at_once, TRAP).ended()
    assert code == 143, printed


@pytest.mark.parametrize("refused", ["everything", "checkpoints", "all, because nobody is there"])
def test_the_example_gives_its_result_whatever_is_refused(api: TaskApi, tmp_path: Path, refused: str) -> None:
    if refused == "everything":
        api.always = REFUSED
    api.instead["PUT /checkpoint"] = [TOO_LARGE, TOO_LARGE]
    own = {
        "LONGTASK_PARAM_ROUNDS": "2",
        "LONGTASK_PARAM_SEED": "longtask",
        "LONGTASK_TERMINATION_LOG": str(tmp_path / "message"),
    }
    environment = own if refused.startswith("all") else own | api.environment
    code, printed = Script(tmp_path, environment, str(ROOT / "examples" / "bash" / "task.sh")).ended()
    assert code == 0, printed
    if refused == "checkpoints":
        (told,) = api.requests("PUT", "/result")
        assert told.json["rounds"] == 2
    else:
        assert json.loads((tmp_path / "message").read_text())["summary"] == "200 hashes"


def test_the_example_keeps_on_while_the_task_api_asks_for_short_pauses(api: TaskApi, tmp_path: Path) -> None:
    """Of a second, for longer than another operator takes to take over."""
    busy = Reply(503, {"reason": "Stopping"}, (("Retry-After", "1"),))
    api.instead["PUT /result"] = [busy] * 17
    environment = api.environment | {
        "LONGTASK_PARAM_ROUNDS": "1",
        "LONGTASK_PARAM_SEED": "longtask",
        "LONGTASK_TERMINATION_LOG": str(tmp_path / "message"),
    }
    code, printed = Script(tmp_path, environment, str(ROOT / "examples" / "bash" / "task.sh")).ended()
    assert code == 0, printed
    assert len(api.requests("PUT", "/result")) == 18
    assert not (tmp_path / "message").exists()
