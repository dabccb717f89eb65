"""Runs the command line: in this process, as a process of its own, or at a terminal."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pexpect

from longtask_cli.__main__ import main
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
SOURCES = os.pathsep.join(str(ROOT / root) for root in ("sdk", "cli", "crds", "runtime"))
COMMAND = [sys.executable, "-m", "longtask"]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
WIDE, HIGH = 100, 30


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str
    raw: bytes
    """stdout."""


class Cli:
    """The command line with variables of its own, such as KUBECONFIG and LONGTASK_NAMESPACE."""

    def __init__(self, **environment: str) -> None:
        self.environment = {"TZ": "UTC", "HOME": "/nonexistent", **environment}

    def but(self, **environment: str) -> "Cli":
        """The same with other variables."""
        return Cli(**{**self.environment, **environment})

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ran:
        """Run it in this process, without a terminal."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
        given = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
        with (
            mock.patch.dict(os.environ, self.environment),
            mock.patch.object(sys, "argv", ["longtask", *arguments]),
            mock.patch.object(sys, "stdin", given),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                code = main()
            except SystemExit as end:  # click ends so after a completion
                code = int(end.code or 0)
            out.flush()
            err.flush()
        raw = out.buffer.getvalue()
        told = err.buffer.getvalue().decode()
        assert "\nTraceback" not in f"\n{told}", told
        return Ran(code, raw.decode(errors="replace"), told, raw)

    def done(self, *arguments: str) -> str:
        """The output of a command that must succeed."""
        ran = self(*arguments)
        assert ran.code == 0, ran
        return ran.out

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it as a process, without a terminal."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def terminal(self, *arguments: str, columns: int = WIDE) -> Iterator["Terminal"]:
        """Start it at a terminal."""
        own = {"TERM": "xterm-256color"} | self._environment()
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *arguments],
            env=own,
            dimensions=(HIGH, columns),
            encoding="utf-8",
            codec_errors="replace",
            timeout=PATIENCE,
        )
        try:
            yield Terminal(child)
        finally:
            child.close(force=True)

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key.startswith(("PATH", "COVERAGE", "LANG"))}
        return kept | {"PYTHONPATH": SOURCES, **self.environment}


class Terminal:
    """A command at a terminal."""

    def __init__(self, child: Any) -> None:
        self.child = child

    def expect(self, pattern: str) -> str:
        """Wait for a text; what was written up to its end."""
        self.child.expect(pattern)
        return str(self.child.before) + str(self.child.after)

    def ended(self) -> tuple[int, str]:
        """The exit code, and what was written since."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        code = self.child.exitstatus if self.child.exitstatus is not None else -self.child.signalstatus
        return code, str(self.child.before)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.child.sendintr()


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Press Ctrl-C until it ends; exit code, stdout and stderr."""
    while True:
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:  # a Python that has only just begun may lose it
            continue
        return process.returncode, out, err
