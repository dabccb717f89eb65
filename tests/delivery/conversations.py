"""Real Strands agents with the real session manager, each a process in an environment of its own."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agentcore import MEMORY, AgentCoreMemory
from tests.delivery.ended import ACTOR

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests/e2e/agents/conversation.py"
ENVIRONMENTS = (".venv-strands", ".venv-strands-modern")
"""Agents with mcp 1.x, and with mcp 2.x."""


@dataclass(frozen=True)
class Conversation:
    """A session, in which agents are opened one after another."""

    environment: str
    memory: AgentCoreMemory
    session: str
    folder: Path
    options: dict[str, Any] = field(default_factory=dict)

    def open(
        self, *prompts: str, steps: tuple[dict[str, Any], ...] = (), problems: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """A new agent, what it is told and does; what it saw, and no other problems of its conversation than these."""
        return self.seen(self.start(*prompts, steps=steps), problems)

    def start(self, *prompts: str, steps: tuple[dict[str, Any], ...] = ()) -> subprocess.Popen[str]:
        """As `open`, without waiting for its end."""
        plan = {
            "memory": {"memoryId": MEMORY, "actorId": ACTOR, "sessionId": self.session},
            "prompts": prompts,
            "steps": steps,
            "started": str(self.folder / "started"),
            "wait_for": str(self.folder / "go"),
            **self.options,
        }
        process = subprocess.Popen(
            [ROOT / self.environment / "bin/python", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.memory.environment, "PYTHONPATH": str(ROOT / "examples" / "strands_agent")},
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(plan))
        process.stdin.close()
        process.stdin = None
        return process

    def seen(self, process: subprocess.Popen[str], problems: tuple[str, ...] = ()) -> dict[str, Any]:
        """What an agent that ends by itself saw."""
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-3000:]
        report: dict[str, Any] = json.loads(out.splitlines()[-1])
        assert report["problems"] == [*problems], report
        return report


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """What messages say, in one line each: `role: text`, with the kind of what is no text."""
    return [
        f"{each['role']}: {' '.join(part.get('text') or next(iter(part)) for part in each['content'])}"
        for each in messages
    ]
