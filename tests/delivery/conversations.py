"""Real Strands agents with the real session manager, each a process in an environment of its own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agentcore import MEMORY, AgentCoreMemory
from tests.agents import Agent
from tests.delivery.ended import ACTOR


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
        return self.start(*prompts, steps=steps).report(problems)

    def start(self, *prompts: str, steps: tuple[dict[str, Any], ...] = ()) -> Agent:
        """As `open`, without waiting for its end."""
        plan = {
            "memory": {"memoryId": MEMORY, "actorId": ACTOR, "sessionId": self.session},
            "prompts": prompts,
            "steps": steps,
            "started": str(self.folder / "started"),
            "wait_for": str(self.folder / "go"),
            **self.options,
        }
        return Agent(self.environment, plan, self.memory.environment)


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """What messages say, in one line each: `role: text`, with the kind of what is no text."""
    return [
        f"{each['role']}: {' '.join(part.get('text') or next(iter(part)) for part in each['content'])}"
        for each in messages
    ]
