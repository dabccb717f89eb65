"""Our servers as processes that are forked from one that has imported them: ready a second of CPU sooner.

Each process of pytest has one such forge, from the first use on. A server runs as its own `main`, with nothing of the
tests in it; that `python -m` and the image start it too is shown where the process itself is under test.
"""

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import coverage

SERVERS = ("longtask_operator.__main__", "longtask_mcp.__main__")

_forge = multiprocessing.get_context("forkserver")
_forge.set_forkserver_preload(["tests.warm", *SERVERS])


class Warm:
    """A running server, with as much of `subprocess.Popen` as the tests ask for."""

    def __init__(self, module: str, environment: dict[str, str], log: Path, *, strict: bool = False) -> None:
        """Start it; `strict`: what it does not close is an error."""
        assert module in SERVERS
        # A daemon, or what a failed test leaves running is waited for at the end of pytest.
        self._process = _forge.Process(target=_serve, args=(module, environment, str(log), strict), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; nothing while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """The exit code, negative for a signal."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, seconds or 0)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _serve(module: str, environment: dict[str, str], log: str, strict: bool) -> None:
    """What a new process does."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(output, stream)
    os.close(output)
    os.chdir("/")
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module]
    if strict:
        warnings.filterwarnings("error", category=ResourceWarning)
    try:
        importlib.import_module(module).main()
    finally:
        if (measured := coverage.Coverage.current()) is not None:
            measured.stop()
            measured.save()
