"""The command line at a real terminal: its width, its colours, its keys, and a connection that is lost."""

import asyncio
import os
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from longtask_cli.text import width
from tests.api import objects
from tests.cli.conftest import cluster_entry, put, set_status
from tests.cli.program import ESCAPES, WIDE, Cli, interrupted
from tests.kube import Kube, eventually
from tests.mcp.line import Line
from tests.operator.tasks import WHEN_TOLD, Tasks
from tests.patience import PATIENCE

pytestmark = pytest.mark.cluster

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e"
ENDED = {"phase": "Succeeded", "completionTime": "2026-03-01T10:00:00Z"}


@pytest.fixture(scope="module", autouse=True)
def world(kube: Kube) -> None:
    progress = objects.PROGRESS | {"message": HOSTILE}
    put(kube, "seen-running", objects.RUNNING | {"inputRequests": [], "message": HOSTILE, "progress": progress})
    put(kube, "seen-failed", objects.FAILED | {"message": "日本語" * 60})
    result = {"text": f"one\n{HOSTILE}日本\n"}
    put(kube, "seen-done", objects.SUCCEEDED | {"result": result, "logTail": f"line\n\x1b[31mred\x1b[0m{HOSTILE}\n"})
    put(kube, "seen-asking", objects.RUNNING | {"phase": "WaitingForInput"})


def shown(cli: Cli, *arguments: str, columns: int = WIDE) -> str:
    with cli.terminal(*arguments, columns=columns) as terminal:
        code, text = terminal.ended()
    assert code == 0, text
    return text


@pytest.mark.parametrize("columns", [30, 80, 200])
def test_a_table_is_no_wider_than_the_terminal(cli: Cli, columns: int) -> None:
    text = ESCAPES.sub("", shown(cli, "list", "-o", "wide", columns=columns))
    lines = text.splitlines()
    assert len(lines) >= 5
    assert all(width(line) <= columns for line in lines)
    assert max(width(line) for line in lines) > columns - 10


def test_a_terminal_gets_colours_and_a_pipe_none(cli: Cli) -> None:
    assert "\x1b[31mFailed" in shown(cli, "list")
    assert "\x1b" not in cli.done("list")
    assert "日本語" * 60 in cli.done("list", "-o", "wide")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_left_out(cli: Cli, environment: dict[str, str]) -> None:
    cli = cli.but(**environment)
    for command in (["list"], ["show", "seen-failed"], ["doctor", "--help"]):
        assert "\x1b[3" not in shown(cli, *command)
        assert "\x1b[1m" not in shown(cli, *command) or environment.get("NO_COLOR")


@pytest.mark.parametrize(
    "command",
    [
        ["list", "-o", "wide"],
        ["show", "seen-running"],
        ["show", "seen-running", "-o", "json"],
        ["show", "seen-done"],
        ["show", "seen-done", "-o", "yaml"],
        ["result", "seen-done"],
        ["logs", "seen-done"],
    ],
)
def test_a_terminal_is_sent_nothing_of_a_task_that_it_would_obey(cli: Cli, command: list[str]) -> None:
    text = shown(cli, *command, columns=300)
    assert "owned" in text
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert "\u202e" not in text


def test_bars_move_in_their_place_and_the_end_is_told(cli: Cli, kube: Kube) -> None:
    put(kube, "moving", objects.RUNNING | {"inputRequests": [], "progress": objects.PROGRESS | {"fraction": 0.5}})
    with cli.terminal("watch", "moving") as terminal:
        terminal.expect("━━━━━━━━━━")
        progress = objects.PROGRESS | {"fraction": 0.9, "sequence": 99, "display": "90% (epoch 9/10)"}
        set_status(kube, "moving", objects.RUNNING | {"inputRequests": [], "progress": progress})
        assert "\r\x1b[2K" in terminal.expect(re.escape("90% (epoch 9/10)"))  # the line is written anew
        set_status(kube, "moving", objects.RUNNING | {"inputRequests": [], "progress": progress} | ENDED)
        code, text = terminal.ended()
    assert code == 0
    assert "moving succeeded" in text
    assert "\x1b[?25h" in text  # the cursor is back
    lines = ESCAPES.sub("", text.replace("\r", "\n")).splitlines()
    assert all(width(line) <= WIDE for line in lines)


@pytest.mark.parametrize("command", [["watch", "seen-running"], ["watch"], ["logs", "-f", "seen-running"]])
def test_ctrl_c_leaves_the_terminal_as_it_was(cli: Cli, command: list[str]) -> None:
    with cli.terminal(*command) as terminal:
        if command[0] == "watch":
            terminal.expect("seen-running")
        else:
            terminal.expect("is gone")
        terminal.interrupt()
        code, text = terminal.ended()
    assert code == 130
    assert "Traceback" not in text
    assert text.count("\x1b[?25l") == 0 or "\x1b[?25h" in text


@pytest.mark.parametrize(("command", "code"), [(["watch", "seen-running"], 130), (["logs", "-f", "seen-running"], 143)])
def test_sigterm_leaves_the_terminal_as_it_was(cli: Cli, command: list[str], code: int) -> None:
    with cli.terminal(*command) as terminal:
        terminal.expect("seen-running" if command[0] == "watch" else "is gone")
        terminal.child.kill(signal.SIGTERM)
        ended, text = terminal.ended()
    assert ended == code
    assert "Traceback" not in text
    assert text.count("\x1b[?25l") == 0 or "\x1b[?25h" in text


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8])
def test_ctrl_c_at_any_moment_is_no_traceback(cli: Cli, seconds: float) -> None:
    process = cli.start("watch", "seen-running")
    with process:
        eventually(lambda: _is_ours(process.pid), bool)
        asyncio.run(asyncio.sleep(seconds))
        code, out, err = interrupted(process)
    assert "longtask_cli" not in out + err
    assert code in (130, -2) or "<frozen site>" in err, (
        "Python's own start ends with 1, before the program's first line"
    )


def _is_ours(pid: int) -> bool:
    return b"longtask" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_an_answer_is_asked_for_at_a_terminal(cli: Cli, kube: Kube) -> None:
    with cli.terminal("answer", "seen-asking") as terminal:
        terminal.expect(re.escape(objects.QUESTION["message"]))
        terminal.expect("Answer: ")
        terminal.child.sendline("true")
        code, text = terminal.ended()
    assert code == 0, text
    assert f"question {objects.QUESTION['id']} answered with true" in text
    put(kube, "asking-too", objects.RUNNING | {"phase": "WaitingForInput"})
    with cli.terminal("answer", "asking-too") as terminal:
        terminal.expect("Answer: ")
        terminal.child.sendeof()
        code, text = terminal.ended()
    assert code == 130
    assert "Traceback" not in text


async def test_a_lost_connection_neither_loses_nor_repeats_a_line_of_a_log(
    working: Cli, tasks: Tasks, tmp_path: Path
) -> None:
    code = f"for n in range(1000): print(n)\n{WHEN_TOLD}\nfor n in range(1000, 2000): print(n)"
    started = await asyncio.to_thread(working.done, "start", "work", f"code={code}", "-o", "name")
    name = started.strip().partition("/")[2]
    uid = tasks.get(name)["metadata"]["uid"]
    await asyncio.to_thread(tasks.running_pod, uid)
    address = urlsplit(cluster_entry()["server"])
    async with Line(str(address.hostname), address.port or 443) as line:
        config = line.kubeconfig(Path(os.environ["KUBECONFIG"]), tmp_path)
        process = working.but(KUBECONFIG=str(config)).start("logs", "-f", name)
        assert process.stdout is not None
        first = [await asyncio.to_thread(process.stdout.readline) for _ in range(500)]
        line.cut()
        line.mend()
        await asyncio.to_thread(tasks.go, uid)
        rest = await asyncio.to_thread(process.stdout.read)  # with what readline has left behind
        _, err = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    numbers = [each for each in ("".join(first) + rest).split() if each != "working"]
    assert numbers == [str(number) for number in range(2000)], err


async def test_a_lost_connection_does_not_end_a_watch(cli: Cli, kube: Kube, tmp_path: Path) -> None:
    put(kube, "held", {"phase": "Running"})
    address = urlsplit(cluster_entry()["server"])
    async with Line(str(address.hostname), address.port or 443) as line:
        config = line.kubeconfig(Path(os.environ["KUBECONFIG"]), tmp_path)
        process = cli.but(KUBECONFIG=str(config)).start("watch", "held")
        assert process.stdout is not None
        assert "Running" in await asyncio.to_thread(process.stdout.readline)
        line.cut()
        progress = {"progress": {"attempt": 1, "sequence": 1, "display": "50%"}}
        set_status(kube, "held", {"phase": "Running"} | progress)
        line.mend()
        assert "50%" in await asyncio.to_thread(process.stdout.readline)
        line.cut()
        await asyncio.to_thread(set_status, kube, "held", ENDED | progress)
        line.mend()
        _, err = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "held succeeded" in err
