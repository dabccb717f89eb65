"""`python -m longtask run`, as a container and a desk start it: processes of their own."""

import bz2
import gzip
import json
import lzma
import os
import pty
import shlex
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from longtask.signature import read
from tests.sdk.api import CUT, Reply, TaskApi

HERE = Path(__file__).parent
SDK = HERE.parents[1] / "sdk"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("LONGTASK_", "PYTHON"))}


class Ran:
    """A process that has ended, and what it left in the termination message."""

    def __init__(self, process: "subprocess.Popen[str]", message: Path) -> None:
        self.out, self.err = process.communicate(timeout=120)
        self.code = process.returncode
        self.message = message.read_text() if message.exists() else None


Start = Callable[..., "Running"]


class Running:
    """A task in a process of its own."""

    def __init__(
        self, folder: Path, target: str, parameters: dict[str, Any], environment: dict[str, str], stdin: int
    ) -> None:
        self._message = folder / "termination-log"
        self.started = folder / "started"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "longtask", "run", target],
            cwd=HERE,
            env=CLEAN
            | {
                "PYTHONPATH": str(SDK),
                "PYTHONDONTWRITEBYTECODE": "1",
                "STARTED": str(self.started),
                "LONGTASK_PARAMETERS": json.dumps(parameters),
            }
            | environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal once the work has begun."""
        until = time.monotonic() + 120
        while not self.started.exists():
            assert time.monotonic() < until, "the work did not begin"
            assert self.process.poll() is None, "the process ended before the work began"
            time.sleep(0.005)
        self.process.send_signal(number)

    def ended(self) -> Ran:
        return Ran(self.process, self._message)

    def kill(self) -> None:
        """End it and what it has started: a process of a pool would hold its output for ever."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=60)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Start]:
    """Starts tasks without LongTask."""
    processes: list[Running] = []

    def start(target: str, **parameters: Any) -> Running:
        environment: dict[str, str] = parameters.pop("environment", {})
        stdin: int = parameters.pop("stdin", subprocess.DEVNULL)
        processes.append(Running(tmp_path, target, parameters, environment, stdin))
        return processes[-1]

    yield start
    for each in processes:
        each.kill()


@pytest.fixture
def pod(desk: Start, api: TaskApi, tmp_path: Path) -> Start:
    """Starts tasks as a pod does."""

    def start(target: str, **parameters: Any) -> Running:
        given: dict[str, str] = parameters.pop("environment", {})
        own = {"LONGTASK_TERMINATION_LOG": str(tmp_path / "termination-log")}
        return desk(target, environment=api.environment | own | given, **parameters)

    return start


# At a desk


def test_at_a_desk_the_result_is_json_on_stdout_and_progress_is_on_stderr(desk: Start) -> None:
    ran = desk("work:train", epochs=3).ended()
    assert (ran.code, ran.out) == (0, '{"loss":0.25,"epochs":3}\n')
    assert ran.err.splitlines() == ["epoch 1/3 (33%) - epoch 1", "epoch 3/3 (100%) - epoch 3"]


def test_defaults_count_where_no_parameter_is_given(desk: Start) -> None:
    assert json.loads(desk("work:train").ended().out)["epochs"] == 2


def test_unicode_passes_through(desk: Start) -> None:
    assert (
        desk("work:say", text="grün 🙂", environment={"PYTHONIOENCODING": "ascii"}).ended().out.splitlines()[-1]
        == '"grün 🙂"'
    )


def test_a_large_result_is_just_printed_at_a_desk(desk: Start) -> None:
    assert len(desk("work:large", size=100_000).ended().out) == 100_001


def test_a_failure_at_a_desk_is_a_traceback_on_stderr(desk: Start) -> None:
    ran = desk("work:fail").ended()
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1] == "ValueError: row 17 has no price"
    assert "sdk/longtask" not in ran.err


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"settings": {"rate": 1, "rte": 2}}, "settings.rte is not allowed: in a cluster they would be refused"),
        (
            {"settings": {"inner": {"x": 1, "y": 2}}},
            "settings.inner.y is not allowed: in a cluster they would be refused",
        ),
        ({"settings": {"rate": "1"}}, "settings.rate is '1', and must be a number: in a cluster they would be refused"),
        ({"settings": None}, "settings: Input should be an object (given: null)"),
        ({"settings": {}, "epochs": None}, None),
        ({"settings": {"rate": None, "inner": None}}, None),
        ({"settings": {}, "epochs": [None]}, "epochs: [null] is not a whole number"),
    ],
)
def test_a_desk_takes_and_refuses_the_parameters_that_a_cluster_does(
    desk: Start, parameters: dict[str, Any], says: str | None
) -> None:
    ran = desk("models:fit", **parameters).ended()
    assert (ran.code, ran.err) == (
        (0, "") if says is None else (1, f"longtask: LONGTASK_PARAMETERS do not fit fit: {says}\n")
    )
    assert fits(parameters) is (says is None)


def fits(parameters: dict[str, Any]) -> bool:
    """Whether a cluster takes them. The other Pythons, which run some tests of this file, have none of this."""
    from longtask_api.parameters import InvalidParameters, complete  # noqa: PLC0415
    from tests.sdk import models  # noqa: PLC0415

    try:
        complete(read(models.fit).parameters_schema(), parameters)
    except InvalidParameters:
        return False
    return True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["run", "../w/fit:f"],
            "'../w/fit' is a path, and a module is wanted: in the folder ../w write fit:f\n",
        ),
        (["run", "work.py:train"], "longtask: 'work.py' is a path, and a module is wanted: write work:train\n"),
        (["run", "./work:train"], "longtask: './work' is a path, and a module is wanted: write work:train\n"),
        (["run", "my-work:train"], "longtask: 'my-work' is no name of a module: it has letters, digits and _ only"),
        (["run", "work:train", "epochs=3"], 'LONGTASK_PARAMETERS=\'{"name": "value"}\' longtask run work:train\n'),
        (["run"], "longtask: the function is missing: longtask run MODULE:FUNCTION\n"),
        (["start", "work:train"], "pip install 'longtask-sdk[cli]'"),
    ],
)
def test_a_command_that_is_written_wrongly_is_told_how_it_is_written(arguments: list[str], says: str) -> None:
    environment = CLEAN | {"PYTHONPATH": str(SDK)}
    command = [sys.executable, "-S", "-m", "longtask", *arguments]  # without the extra
    ran = subprocess.run(command, cwd=HERE, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode != 0
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_result_at_a_desk_is_a_line_of_its_own(desk: Start) -> None:
    assert desk("work:print_a_part").ended().out == "rows: 7\n7\n"


@pytest.mark.parametrize("how", ["replaced", "closed", "detached", "wrapped for a while"])
def test_the_result_reaches_the_stdout_that_was_there_before_the_work(desk: Start, how: str) -> None:
    ran = desk("work:take_stdout", how=how).ended()
    assert (ran.code, ran.out) == (0, 'begun\n"ü"\n'), ran.err


def test_a_stdout_that_takes_nothing_fails_with_a_sentence() -> None:
    command = f"exec {shlex.quote(sys.executable)} -m longtask run work:wait_a_moment"
    for into, why in (
        (">&-", "it was closed from the beginning"),
        ("> /dev/full", "[Errno 28] No space left on device"),
    ):
        ran = subprocess.run(
            ["sh", "-c", f"{command} {into}"],
            cwd=HERE,
            env=CLEAN | {"PYTHONPATH": str(SDK)},
            check=False,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        assert (ran.returncode, ran.stderr.splitlines()[-1]) == (
            1,
            f"longtask: the result cannot be written to stdout: {why}",
        )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("target", ["work:ask", "work:ask_in_a_thread"])
def test_a_signal_ends_work_that_waits_for_an_answer_at_a_desk(
    desk: Start, target: str, number: signal.Signals, code: int
) -> None:
    ours, theirs = pty.openpty()
    running = desk(target, stdin=theirs)
    asked = running.process.stderr
    assert asked is not None
    assert asked.readline() == "Which column?\n"
    running.signal(number)
    ran = running.ended()
    os.close(ours)
    os.close(theirs)
    assert ran.code == code
    assert "would live on" not in ran.err  # nothing held it up


@pytest.mark.parametrize("target", ["work:sleep_unwoken", "work:ask_unwoken"])
def test_a_signal_ends_work_whose_wait_it_does_not_end(desk: Start, target: str) -> None:
    ours, theirs = pty.openpty()
    ran = desk(target, stdin=theirs).ended()
    os.close(ours)
    os.close(theirs)
    assert ran.code == 143


def test_a_folder_keeps_checkpoints_at_a_desk(desk: Start, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    assert desk("work:train", environment={"LONGTASK_LOCAL_DIR": str(folder)}).ended().code == 0
    assert [path.name for path in folder.iterdir()] == ["checkpoint.json"]
    assert json.loads((folder / "checkpoint.json").read_text()) == {"epoch": 2}


def test_a_folder_stays_the_same_when_the_work_changes_to_another(desk: Start, tmp_path: Path) -> None:
    folder = os.path.relpath(tmp_path / "kept", HERE)
    ran = desk("work:move", to=str(tmp_path), environment={"LONGTASK_LOCAL_DIR": folder}).ended()
    assert (ran.code, ran.out) == (0, f"{json.dumps([str(tmp_path / 'kept')] * 2, separators=(',', ':'))}\n"), ran.err
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["artifacts", "checkpoint.json"]


def test_a_question_without_a_terminal_and_a_default_is_a_clear_failure(desk: Start) -> None:
    ran = desk("work:ask").ended()
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith("longtask.errors.NoAnswer: 'Which column?' has no default")


# In a pod


def test_in_a_pod_a_small_result_is_the_termination_message(pod: Start, api: TaskApi) -> None:
    ran = pod("work:train", epochs=3).ended()
    assert (ran.code, ran.message, ran.out) == (0, '{"loss":0.25,"epochs":3}', "")
    last = api.requests("POST", "/progress")[-1].json
    assert (last["current"], last["total"], last["final"]) == (3, 3, True)


def test_a_small_result_needs_no_api(pod: Start, api: TaskApi) -> None:
    api.stop()
    ran = pod("work:say", text="done").ended()
    assert (ran.code, ran.message) == (0, '"done"')


def test_an_async_task_gives_its_result_and_its_context_is_current(pod: Start, api: TaskApi) -> None:
    ran = pod("work:wait_a_moment").ended()
    assert (ran.code, ran.message) == (0, "7")
    assert api.requests("POST", "/progress")[-1].json["final"]


def test_no_result_leaves_no_message(pod: Start) -> None:
    ran = pod("work:give", kind="none").ended()
    assert (ran.code, ran.message) == (0, None)


@pytest.mark.parametrize(
    ("size", "in_message", "by_api"),
    [(1023, True, False), (1024, True, True), (4095, True, True), (4096, False, True), (100_000, False, True)],
)
def test_a_result_goes_where_it_arrives_whole(
    pod: Start, api: TaskApi, size: int, in_message: bool, by_api: bool
) -> None:
    api.instead["PUT /result"] = [Reply(503), CUT]
    ran = pod("work:large", size=size).ended()
    assert ran.code == 0, ran.err
    assert ran.message == (f'"{"x" * (size - 2)}"' if in_message else None)
    puts = api.requests("PUT", "/result")
    assert [len(each.body) for each in puts] == ([size] * 3 if by_api else [])
    if by_api:
        assert puts[-1].headers["content-digest"].startswith("sha-256=:")


@pytest.mark.parametrize("answer", [Reply(413, {"reason": "TooLarge"}), Reply(503, {"reason": "NotYet"})])
def test_a_result_that_the_api_does_not_take_stays_in_the_message_where_it_fits(
    pod: Start, api: TaskApi, answer: Reply
) -> None:
    api.always = answer
    ran = pod("work:large", size=4000, environment={"LONGTASK_FLUSH_SECONDS": "0.1"}).ended()
    assert ran.code == 0
    assert len(ran.message or "") == 4000
    assert "left in the termination message, which arrives whole in a pod of at most 3 containers" in ran.err


def test_a_message_that_cannot_be_written_goes_through_the_api(pod: Start, api: TaskApi, tmp_path: Path) -> None:
    nowhere = {"LONGTASK_TERMINATION_LOG": str(tmp_path / "missing" / "log")}
    assert pod("work:say", text="done", environment=nowhere).ended().code == 0
    assert api.requests("PUT", "/result")[0].body == b'"done"'


def test_a_large_result_that_cannot_be_delivered_is_a_failure_that_says_so(pod: Start, api: TaskApi) -> None:
    api.always = Reply(503, {"reason": "NotYet", "detail": "the API server does not answer"})
    ran = pod("work:large", size=5000, environment={"LONGTASK_FLUSH_SECONDS": "0.1"}).ended()
    assert ran.code == 1
    assert ran.message is not None
    assert ran.message.startswith("the result could not be handed in within 0.1 s (503: NotYet: the API server")
    assert ran.message in ran.err


def test_a_large_result_that_is_refused_says_what_to_configure(pod: Start, api: TaskApi) -> None:
    api.instead["PUT /result"] = [Reply(413, {"reason": "TooLarge", "detail": "at most 4 KiB: configure storage"})]
    ran = pod("work:large", size=5000).ended()
    assert (ran.code, ran.message) == (1, "the result was refused: 413: TooLarge: at most 4 KiB: configure storage")


def test_a_large_result_in_a_pod_without_a_task_api_is_a_failure_that_says_so(desk: Start, tmp_path: Path) -> None:
    log = {"LONGTASK_ID": "id", "LONGTASK_TERMINATION_LOG": str(tmp_path / "termination-log")}
    ran = desk("work:large", size=5000, environment=log).ended()
    assert ran.code == 1
    assert ran.message is not None
    assert ran.message.startswith("the result has 5000 bytes; ")
    assert "LONGTASK_REPORT_URL" in ran.message


def test_what_json_cannot_hold_is_a_failure_that_names_the_path_and_keeps_the_rest(pod: Start, api: TaskApi) -> None:
    ran = pod("work:give", kind="nan").ended()
    assert ran.code == 1
    assert (ran.message or "").startswith("result.metrics.loss is NaN: ")
    assert "the rest is kept as the artifact unfit-result.json (s3://bucket/unfit-result.json)" in (ran.message or "")
    (kept,) = api.requests("PUT", "/artifacts/unfit-result.json")
    assert kept.json == {"epochs": 3, "metrics": {"loss": None}}


def test_the_path_stays_where_the_rest_cannot_be_kept(pod: Start, api: TaskApi) -> None:
    api.always = Reply(503)
    ran = pod("work:give", kind="nan", environment={"LONGTASK_FLUSH_SECONDS": "0.1"}).ended()
    assert (ran.message or "").startswith("result.metrics.loss is NaN: ")
    assert "the rest could not be kept either: the artifact unfit-result.json could not be handed in" in ran.err


def test_what_is_no_result_at_all_leaves_nothing_to_keep(pod: Start, api: TaskApi) -> None:
    ran = pod("work:give", kind="bytes").ended()
    assert ran.code == 1
    assert (ran.message or "").startswith("result is bytes, which JSON cannot hold: ")
    assert (ran.message or "").endswith("nothing of it can be kept")
    assert api.seen == []


@pytest.mark.parametrize(
    ("task", "last"),
    [("fail", "ValueError: row 17 has no price"), ("fail_later", "ValueError: row 18 has no price")],
)
def test_a_failure_is_the_end_of_a_readable_traceback(pod: Start, task: str, last: str) -> None:
    ran = pod(f"work:{task}").ended()
    assert ran.code == 1
    assert ran.message is not None
    assert ran.message.splitlines()[-1] == last
    assert f"in {task}\n" in ran.message
    assert "asyncio" not in ran.message
    assert "sdk/longtask" not in ran.message
    assert ran.message in ran.err


def test_a_failure_leaves_its_last_checkpoint_and_progress(pod: Start, api: TaskApi) -> None:
    assert pod("work:fail").ended().code == 1
    assert api.checkpoint == (b'{"row":17}', "application/json")
    assert api.requests("POST", "/progress")[-1].json["final"]


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("zero", 0, None),
        ("none", 0, None),
        ("three", 3, None),
        ("text", 1, "the disk is full"),
        ("interrupt", 130, "interrupted by SIGINT"),
    ],
)
def test_the_work_may_exit_by_itself(pod: Start, how: str, code: int, message: str | None) -> None:
    ran = pod("work:leave", how=how).ended()
    assert (ran.code, ran.message) == (code, message)


@pytest.mark.parametrize(
    ("code", "kept"), [(512, 2), (256, 1), (65536, 1), (2**40, 1), (-256, 255), (257, 1), (-1, 255)]
)
def test_an_exit_code_that_is_not_zero_stays_so_and_says_what_it_was(pod: Start, code: int, kept: int) -> None:
    ran = pod("work:leave_with", code=code).ended()
    assert ran.code == kept
    assert (ran.message or "").startswith(f"the work left with exit code {code}, and a system keeps 0 to 255 only")
    assert "os.waitstatus_to_exitcode" in (ran.message or "")


def test_cancelled_without_sigterm_is_a_failure(pod: Start) -> None:
    ran = pod("work:leave", how="cancelled").ended()
    assert ran.code == 1
    assert "longtask.errors.Cancelled" in (ran.message or "")


# What lives on

LEFT = [
    ("pool", "thread left-pool_0"),
    ("processes", "process ForkProcess-"),
    ("thread", "thread left-thread"),
    ("process", "process left-process (pid "),
    ("queue", "the main thread in "),
    ("atexit", "the main thread in slow_goodbye ("),
]


@pytest.mark.parametrize(("what", "named"), LEFT, ids=[what for what, _ in LEFT])
def test_what_the_work_left_behind_is_named_and_does_not_hold_up_the_end(pod: Start, what: str, named: str) -> None:
    ran = pod("work:leave_behind", what=what, environment={"LONGTASK_EXIT_SECONDS": "0.5"}).ended()
    assert (ran.code, ran.message) == (0, '{"done":1}'), ran.err
    assert "longtask: the work has ended, and its process would live on for: " in ran.err
    assert named in ran.err


@pytest.mark.parametrize("what", ["pool", "process"])
def test_a_failure_that_leaves_something_behind_is_that_failure(pod: Start, what: str) -> None:
    quickly = {"LONGTASK_EXIT_SECONDS": "0.5"}
    ran = pod("work:leave_behind", what=what, fails=True, environment=quickly).ended()
    assert ran.code == 1
    assert (ran.message or "").endswith("ValueError: row 19 has no price")


def test_the_outcome_is_there_while_something_lives_on_and_sigterm_does_not_change_it(
    pod: Start, tmp_path: Path
) -> None:
    running = pod("work:leave_behind", what="pool", environment={"LONGTASK_EXIT_SECONDS": "600"})
    log = tmp_path / "termination-log"
    until = time.monotonic() + 120
    while not log.exists() or not log.read_text():
        assert time.monotonic() < until
        assert running.process.poll() is None
        time.sleep(0.01)
    while running.process.poll() is None:
        assert time.monotonic() < until
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    ran = running.ended()
    assert (ran.code, ran.message) == (0, '{"done":1}')


def test_an_async_task_does_not_wait_for_the_threads_that_it_leaves(pod: Start) -> None:
    ran = pod("work:leave_a_thread_behind", environment={"LONGTASK_EXIT_SECONDS": "0.5"}).ended()
    assert (ran.code, ran.message) == (0, '{"done":1}')
    assert "thread asyncio_0" in ran.err


def test_what_is_left_in_the_event_loop_does_not_change_the_outcome(pod: Start) -> None:
    ran = pod("work:leave_a_failing_task_behind").ended()
    assert (ran.code, ran.message) == (0, '{"done":1}')
    assert "what the work has left in its event loop failed at the end: SystemExit: out of order" in ran.err


@pytest.mark.parametrize("how", ["hangs", "crashes"])
def test_a_library_that_breaks_when_it_is_taken_apart_does_not_change_the_outcome(
    pod: Start, tmp_path: Path, how: str
) -> None:
    file = tmp_path / "left-open"
    ran = pod("work:end_badly", how=how, file=str(file)).ended()
    assert (ran.code, ran.message) == (0, '{"done":1}')
    assert file.read_text() == "the last line"


def test_files_that_were_left_open_are_whole(pod: Start, tmp_path: Path) -> None:
    ran = pod("unclosed:leave_open", folder=str(tmp_path)).ended()
    assert (ran.code, ran.message, ran.err) == (0, '{"done":1}', "")
    line = b"the last line"
    assert gzip.decompress((tmp_path / "text.gz").read_bytes()) == line
    assert gzip.decompress((tmp_path / "file.gz").read_bytes()) == line
    assert bz2.decompress((tmp_path / "file.bz2").read_bytes()) == line
    assert lzma.decompress((tmp_path / "file.xz").read_bytes()) == line
    assert zipfile.ZipFile(tmp_path / "file.zip").read("a") == line
    assert zipfile.ZipFile(tmp_path / "unfinished.zip").read("a") == line
    with tarfile.open(tmp_path / "file.tar.gz") as archive:
        member = archive.extractfile("a")
        assert member is not None
        assert member.read() == line
    assert (tmp_path / "c.txt").read_bytes() == line


def test_ctrl_c_at_the_desk_ends_the_wait_for_threads_without_a_traceback(desk: Start) -> None:
    running = desk("work:leave_a_thread_running")
    running.signal(signal.SIGINT)
    ran = running.ended()
    assert (ran.code, ran.out, ran.err) == (0, '{"done":1}\n', "")


def test_work_that_leaves_nothing_behind_says_nothing(pod: Start) -> None:
    assert "live on" not in pod("work:train").ended().err


# What is printed


@pytest.mark.parametrize("how", ["exit", "killed"])
def test_what_was_printed_stays_when_the_process_dies(pod: Start, how: str) -> None:
    assert pod("work:print_and_die", how=how).ended().out == "file 4 has 900 million rows\n"


def test_what_a_python_of_the_works_own_printed_stays_too(pod: Start) -> None:
    assert pod("work:print_and_die", how="child").ended().out == "file 4 has 900 million rows\nof a child\n"


def test_what_is_printed_is_in_the_log_while_the_work_runs(pod: Start) -> None:
    running = pod("work:print_and_die", how="live")
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == "file 4 has 900 million rows\n"
    running.process.kill()


# What is promised


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("naive", "result.at is '2026-01-31T18:30:00', and must be a date and time with an offset"),
        ("nothing", "result is null, and must be an object"),
        ("leave", "it left by sys.exit, so without a result: the result does not fit its annotation: result is null"),
        ("text", "result is 'x', and must be an object"),
    ],
)
def test_a_result_that_does_not_fit_its_annotation_is_refused_at_the_desk(desk: Start, what: str, says: str) -> None:
    ran = desk("work:promise", what=what).ended()
    assert ran.code == 1
    assert says in ran.err
    assert "InvalidResult" in ran.err


def test_in_a_pod_a_result_that_does_not_fit_is_left_for_the_operator_to_judge(pod: Start) -> None:
    ran = pod("work:promise", what="naive").ended()
    assert (ran.code, ran.message, ran.err) == (0, '{"at":"2026-01-31T18:30:00"}', "")


@pytest.mark.parametrize("task", ["properties", "backtracks"])
@pytest.mark.parametrize("where", ["desk", "pod"])
def test_a_pattern_that_cannot_be_tried_does_not_hold_up_or_fail_what_is_done(
    desk: Start, pod: Start, where: str, task: str
) -> None:
    ran = (pod if where == "pod" else desk)(f"patterned:{task}").ended()
    told = (ran.message if where == "pod" else ran.out) or ""
    assert (ran.code, "a" * 64 + "!" in told, ran.err) == (0, True, "")


# Before any work


@pytest.mark.parametrize(
    ("target", "environment", "message"),
    [
        ("work", {}, "'work' names no function: "),
        ("work:nothing", {}, "work has no nothing: "),
        ("work:Path", {}, "work:Path: "),
        ("no_such_module:train", {}, "no_such_module cannot be imported (ModuleNotFoundError: "),
        ("work:generates", {}, "work:generates: generates is a generator, and a task has one result: "),
        ("work:kept", {}, "work.square: another decorator stands above @longtask.task, "),
        ("work:train", {"LONGTASK_PARAMETERS": "{"}, "LONGTASK_PARAMETERS is no JSON ("),
        ("work:train", {"LONGTASK_PARAMETERS": "[]"}, "LONGTASK_PARAMETERS is no JSON object: "),
        ("work:train", {"LONGTASK_PARAMETERS": '{"epochs": "x"}'}, "LONGTASK_PARAMETERS do not fit train: epochs: "),
        ("work:train", {"LONGTASK_SCHEMA_HASH": "0123456789abcdef"}, "the template was made from other code: "),
        ("work:train", {"LONGTASK_EXIT_SECONDS": "1m"}, "LONGTASK_EXIT_SECONDS is '1m': give seconds, a number from "),
        ("work:train", {"LONGTASK_EXIT_SECONDS": "inf"}, "LONGTASK_EXIT_SECONDS is 'inf': give seconds, "),
        ("work:train", {"LONGTASK_EXIT_SECONDS": "nan"}, "LONGTASK_EXIT_SECONDS is 'nan': give seconds, "),
        ("work:train", {"LONGTASK_FLUSH_SECONDS": "-1"}, "LONGTASK_FLUSH_SECONDS is '-1': give seconds, "),
        ("work:train", {"LONGTASK_RESUME_SECONDS": "5min"}, "LONGTASK_RESUME_SECONDS is '5min': give seconds, "),
    ],
)
def test_what_cannot_run_is_told_before_any_work(
    pod: Start, api: TaskApi, target: str, environment: dict[str, str], message: str
) -> None:
    ran = pod(target, environment=environment).ended()
    assert ran.code == 1
    assert ran.message is not None
    assert ran.message.startswith(message)
    assert ran.message in ran.err
    assert api.seen == []


def test_a_template_of_other_code_says_how_to_make_it_anew(pod: Start) -> None:
    ran = pod("work:train", environment={"LONGTASK_SCHEMA_HASH": "0123456789abcdef"}).ended()
    assert "`longtask template work:train --update FILE` with this image, and apply the file" in (ran.message or "")


def test_a_template_of_this_code_runs(pod: Start) -> None:
    from tests.sdk import work  # noqa: PLC0415

    found = work.say.signature.schema_hash()
    assert pod("work:say", text="x", environment={"LONGTASK_SCHEMA_HASH": found}).ended().message == '"x"'


# SIGTERM


@pytest.mark.parametrize("then", ["raise", "none", "exit"])
def test_work_that_leaves_when_it_is_stopped_ends_with_143(pod: Start, api: TaskApi, then: str) -> None:
    running = pod("work:until_stopped", then=then)
    running.signal()
    ran = running.ended()
    assert (ran.code, ran.message) == (143, "stopped by SIGTERM before the work was done")
    assert api.requests("POST", "/progress")[-1].json["final"]
    assert api.checkpoint == ((b'{"step":1}', "application/json") if then == "raise" else None)


def test_a_value_that_is_returned_after_sigterm_is_the_result(pod: Start) -> None:
    running = pod("work:until_stopped", then="result")
    running.signal()
    ran = running.ended()
    assert (ran.code, ran.message) == (0, "42")


def test_an_error_after_sigterm_is_a_failure(pod: Start) -> None:
    running = pod("work:until_stopped", then="fail")
    running.signal()
    ran = running.ended()
    assert ran.code == 1
    assert (ran.message or "").endswith("RuntimeError: could not stop")


def test_work_that_never_looked_and_is_done_has_succeeded(pod: Start) -> None:
    ran = pod("work:finish_anyway").ended()
    assert (ran.code, ran.message) == (0, None)


@pytest.mark.parametrize(
    ("then", "code", "message"), [("raise", 143, "stopped by SIGTERM before the work was done"), ("result", 0, "42")]
)
def test_an_async_task_is_cancelled(pod: Start, api: TaskApi, then: str, code: int, message: str) -> None:
    running = pod("work:sleep_long", then=then)
    running.signal()
    ran = running.ended()
    assert (ran.code, ran.message) == (code, message)
    assert "Traceback" not in ran.err


def test_async_tasks_of_a_group_leave_together(pod: Start) -> None:
    running = pod("work:leave_together")
    running.signal()
    assert running.ended().code == 143


def test_a_question_that_is_open_ends_with_sigterm(pod: Start, api: TaskApi) -> None:
    running = pod("work:ask")
    api.wait_for("GET", "/questions/column")
    running.signal()
    assert running.ended().code == 143


def test_a_second_sigterm_ends_the_process_at_once(pod: Start) -> None:
    running = pod("work:deaf")
    running.signal()
    until = time.monotonic() + 20
    while running.process.poll() is None and time.monotonic() < until:
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert running.ended().code == 143


@pytest.mark.parametrize("api_is", ["silent", "dead"])
@pytest.mark.parametrize("when", ["before", "while"])
def test_sigterm_ends_the_offering_of_a_result_that_is_in_the_message_too(
    pod: Start, api: TaskApi, tmp_path: Path, api_is: str, when: str
) -> None:
    if api_is == "dead":
        api.always = Reply(503, {"reason": "NotYet"})
    else:
        api.held.clear()
    if when == "before":
        running = pod("work:large_until_stopped", size=4000)
        running.signal()
    else:
        running = pod("work:large", size=4000)
        api.wait_for("PUT", "/result")
        running.process.send_signal(signal.SIGTERM)
    ran = running.ended()
    assert (ran.code, len(ran.message or "")) == (0, 4000)
    assert "It is left in the termination message" in ran.err


def test_a_dead_api_does_not_hold_up_the_end(pod: Start, api: TaskApi) -> None:
    running = pod("work:until_stopped", then="raise")
    api.wait_for("POST", "/progress")
    api.stop()
    running.signal()
    started = time.monotonic()
    assert running.ended().code == 143
    assert time.monotonic() - started < 15


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_reports_nothing_and_ends_on_sigterm(pod: Start, api: TaskApi) -> None:
    ran = pod("work:end_child").ended()
    assert (ran.code, ran.message) == (0, str(-signal.SIGTERM)), ran.err
    assert {each.json["current"] for each in api.requests("POST", "/progress")} == {1}


# The processes of the work


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("where", ["desk", "pod"])
def test_the_processes_of_a_pool_report_nothing_and_fail_nothing(
    desk: Start, pod: Start, api: TaskApi, where: str, method: str
) -> None:
    ran = (pod if where == "pod" else desk)("work:fan_out", method=method).ended()
    assert ran.code == 0, ran.err
    result = json.loads((ran.message if where == "pod" else ran.out) or "")
    assert result == {
        "current": [0, 1, 2],
        "method": [0, 1],
        "task": [0, 1, 4],
        "name": api.environment["LONGTASK_ID"] if where == "pod" else "local",
        "artifact": 3,
    }
    assert {each.json["current"] for each in api.requests("POST", "/progress")} == ({1} if where == "pod" else set())
    assert len(api.requests("PUT", "/artifacts/made-by-a-child")) == (where == "pod")


def test_a_program_that_the_work_runs_has_a_context_too(pod: Start, api: TaskApi) -> None:
    ran = pod("work:run_a_program").ended()
    assert (ran.code, ran.message, ran.out) == (0, "0", api.environment["LONGTASK_ID"] + "\n"), ran.err
    assert not api.requests("POST", "/progress")


# The command


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 2), (["run"], 2), (["run", "--x"], 2), (["walk", "a:b"], 2), (["--help"], 0)]
)
def test_a_wrong_command_shows_the_right_ones(arguments: list[str], code: int) -> None:
    command = [sys.executable, "-S", "-m", "longtask", *arguments]  # without the extra
    ran = subprocess.run(command, env=CLEAN | {"PYTHONPATH": str(SDK)}, capture_output=True, text=True, check=False)
    assert ran.returncode == code
    assert "usage: longtask run MODULE:FUNCTION" in ran.stdout + ran.stderr
