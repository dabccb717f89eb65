"""The local stand-in for AgentCore Memory, as tests use it: a process on loopback, with a database of its own."""

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx2
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[1]
REGION = "us-east-1"
MEMORY = "agents-a1b2c3d4e5"


@dataclass
class AgentCoreMemory:
    """The process and how it is reached."""

    database: Path
    options: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 0
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use it in place of AWS."""
        return {
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": self.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
        }

    def start(self) -> None:
        command = [sys.executable, "-m", "agentcore_emulator", "--host", self.host, "--port", str(self.port)]
        self._process = subprocess.Popen(
            [*command, "--database", str(self.database), *self.options],
            cwd=ROOT,
            env=os.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("listening on "), f"the emulator did not start: {line!r}"
        self.port = int(line.rpartition(":")[2])

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def restart(self) -> None:
        """Killed, and there again at the same place with what it had answered."""
        self.kill()
        self.start()

    def client(self) -> Any:
        """boto3's own client; it repeats nothing."""
        return _client(self.url)

    def fault(self, operation: str, fault: str, **more: Any) -> None:
        """The next call of the operation, or `times` of them, goes wrong that way."""
        script_fault(self.url, operation, fault, **more)

    def no_faults(self) -> None:
        clear_faults(self.url)

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """The calls so far, oldest first."""
        made: list[dict[str, Any]] = httpx2.get(f"{self.url}/_emulator/calls").json()
        return [each for each in made if operation in (None, each["operation"])]

    def events(self, actor: str, session: str, memory: str = MEMORY) -> list[dict[str, Any]]:
        """All events of a session, oldest first."""
        pages = self.client().get_paginator("list_events").paginate(memoryId=memory, actorId=actor, sessionId=session)
        return [event for page in pages for event in page["events"]][::-1]


@functools.cache
def _client(url: str) -> Any:
    """One for each emulator: making it, from botocore's model, takes the time of twenty calls."""
    return boto3.session.Session().client(
        "bedrock-agentcore",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=3),
    )


def script_fault(url: str, operation: str, fault: str, **more: Any) -> None:
    """As AgentCoreMemory.fault, of an emulator that runs at the URL."""
    answer = httpx2.post(f"{url}/_emulator/faults", json=[{"operation": operation, "fault": fault, **more}])
    assert answer.status_code == 204, answer.text


def clear_faults(url: str) -> None:
    httpx2.delete(f"{url}/_emulator/faults").raise_for_status()


@contextlib.contextmanager
def agentcore_memory(folder: Path, *options: str, host: str = "127.0.0.1") -> Iterator[AgentCoreMemory]:
    """A running one, whose database is in the folder."""
    service = AgentCoreMemory(folder / "memory.sqlite", options, host)
    service.start()
    try:
        yield service
    finally:
        service.kill()
