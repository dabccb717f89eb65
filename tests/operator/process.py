"""The operator as a process of this machine, on the cluster that KUBECONFIG names."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests import blocked
from tests.kube import eventually
from tests.limited import command_within
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.warm import Warm

ROOTS = ("crds", "operator", "mcp_server", "runtime", "sdk")
HOST_ADDRESS = os.environ.get("LONGTASK_HOST_ADDRESS")
"""Where pods reach this machine, if they can."""
REPOSITORY = Path(__file__).resolve().parents[2]


SOON = {"LEASE_DURATION_SECONDS": "5"}
"""Settings of operators whose place another one takes. It is renewed all the time, by each that runs."""


@dataclass
class OperatorProcess:
    """One replica. Its log goes to `log`."""

    namespace: str
    log: Path
    identity: str = "replica-1"
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    """Beside this process's own. A PYTHONPATH counts from the first import on."""
    within: Path | None = None
    """A cgroup for it."""
    kubeconfig: str = field(default_factory=lambda: os.environ["KUBECONFIG"])
    patience: float = PATIENCE
    """Seconds until it must be ready."""
    health_port: int = field(default_factory=free_port)
    task_api_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | Warm | None = None

    def start(self) -> Self:
        """Start and wait until its cache is filled."""
        own = {
            "NAMESPACE": self.namespace,
            "LEASE_NAMESPACE": self.namespace,
            "POD_NAME": self.identity,
            "HEALTH_PORT": str(self.health_port),
            "TASK_API_PORT": str(self.task_api_port),
            "LEASE_DURATION_SECONDS": "60",
            **({"TASK_API_URL": f"http://{HOST_ADDRESS}:{self.task_api_port}"} if HOST_ADDRESS else {}),
            **self.settings,
        }
        environment = {
            **os.environ,
            **self.environment,
            "KUBECONFIG": self.kubeconfig,
            **{f"LONGTASK_OPERATOR_{name}": value for name, value in own.items()},
        }
        blocked.follow(self.log)
        if self.within is None and "PYTHONPATH" not in self.environment:
            self.process = Warm("longtask_operator.__main__", environment, self.log)
        else:
            self.process = self._cold(environment)
        self.wait_ready(self.patience)
        return self

    def _cold(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        sources = [str(REPOSITORY / root) for root in ROOTS]
        environment["PYTHONPATH"] = ":".join([*sources, self.environment.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "longtask_operator"]
        if self.within is not None:
            command = command_within(self.within, command)
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd="/")

    def wait_ready(self, seconds: float = PATIENCE) -> None:
        """Until /readyz says ok."""
        deadline = time.monotonic() + seconds
        while not self._ready():
            assert self.process is not None
            assert self.process.poll() is None, f"the operator ended: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"not ready after {seconds} s: {self.log.read_text()[-3000:]}"
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until it leads and has looked at everything."""
        eventually(lambda: self.metric("longtask_leader"), lambda leads: leads == 1)
        eventually(lambda: self.metric("longtask_queue_length"), lambda length: length == 0)

    def metric(self, name: str, default: float | None = None) -> float:
        """The value of a metric, whose labels are part of the name; `default` where it was never counted."""
        for line in self._get("/metrics", PATIENCE).splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[-1])
        assert default is not None, f"no metric {name}"
        return default

    def kill(self) -> None:
        """SIGKILL: what a node failure or an OOM kill does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = PATIENCE) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(seconds)

    def _ready(self) -> bool:
        try:
            return self._get("/readyz") == "ok"
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def _get(self, path: str, seconds: float = 5) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=seconds) as answer:
            return str(answer.read().decode())
