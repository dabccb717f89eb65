"""Real Strands agents, each a process in an environment that has no other part of this project."""

import functools
import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.kube import eventually
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "tests/e2e/agents/conversation.py"
ENVIRONMENTS = {".venv-strands": "mcp 1.x", ".venv-strands-modern": "mcp 2.x"}


class Agent:
    """A running agent, with as much of `subprocess.Popen` as the tests ask for."""

    returncode: int | None = None

    def __init__(self, environment: str, plan: dict[str, Any], settings: dict[str, str]) -> None:
        """One of ENVIRONMENTS, what the agent does (see PROGRAM), and more of the process's environment."""
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(_forge(environment).socket)
        told = {"plan": plan, "environment": {**os.environ, **settings}}
        self._connection.sendall(json.dumps(told).encode() + b"\n")
        self._answer = self._connection.makefile()
        self.pid = int(self._answer.readline())

    def communicate(self, timeout: float = PATIENCE) -> tuple[str, str]:
        """What it has printed, when it has ended."""
        self._connection.settimeout(timeout)
        with self._connection, self._answer:
            ended = json.loads(self._answer.read())
        self.returncode = ended["code"]
        return ended["output"], ended["errors"]

    def report(self, problems: tuple[str, ...] = ()) -> dict[str, Any]:
        """What an agent that ends by itself saw, with no other problems of its conversation than these."""
        output, errors = self.communicate()
        assert self.returncode == 0, errors[-3000:]
        report: dict[str, Any] = json.loads(output.splitlines()[-1])
        assert report["problems"] == [*problems], report
        return report


class _Forge:
    """The process from which those of an environment are forked. It ends with this one."""

    def __init__(self, environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.socket = str(Path(self._folder.name, "socket"))
        self._process = subprocess.Popen(
            [ROOT / environment / "bin/python", PROGRAM, self.socket],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT / "examples/strands_agent")},
        )
        eventually(lambda: Path(self.socket).exists() or self._process.poll() is not None, bool)
        assert self._process.poll() is None, f"{environment} is not there, or not whole: `make {environment}/ready`"


_forge = functools.cache(_Forge)
"""One of each environment, from its first agent on."""
