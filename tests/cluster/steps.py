"""Running programs and telling the person at the terminal how far we are."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError

_STARTED = time.monotonic()
_PROGRESS_INTERVAL = 15.0  # seconds between two lines of a long step


def say(text: str) -> None:
    """Print one step with the seconds since the program began, on stderr: stdout is for results."""
    print(f"{time.monotonic() - _STARTED:7.1f}s  {text}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program to its end and return its stdout; ClusterError with its last words if it fails.

    `env` is added to this process's environment.
    """
    argv = [str(word) for word in command]
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=_environment(env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{argv[0]} is not installed or not on PATH") from error
    if done.returncode != 0:
        raise ClusterError(_failure(argv, done.returncode, done.stderr + done.stdout))
    return done.stdout


def succeeds(command: Sequence[str | Path], *, timeout: float | None = None) -> bool:
    """Whether a program exists, ends within `timeout` seconds and exits 0, whatever it prints."""
    argv = [str(word) for word in command]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def run_with_progress(
    command: Sequence[str | Path],
    describe: Callable[[int], str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Like `run`, for programs that take minutes: every 15 s say `describe(lines on stderr)`."""
    argv = [str(word) for word in command]
    lines: list[str] = []
    ended = threading.Event()
    threading.Thread(target=_tell, args=(ended, lines, describe), daemon=True).start()
    try:
        with (
            tempfile.TemporaryFile("w+") as output,
            subprocess.Popen(
                argv,
                cwd=cwd,
                env=_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            assert process.stderr is not None
            lines.extend(process.stderr)
            code = process.wait()
            output.seek(0)
            if code != 0:
                raise ClusterError(_failure(argv, code, "".join(lines)))
            return output.read()
    finally:
        ended.set()


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Start a program that outlives this one, its output appended to `log`; its process number.

    `env`, if given, is all of its environment.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.returncode = 0  # Popen shall neither wait for it nor warn that it still runs
    return process.pid


def wait_until(what: str, condition: Callable[[], bool], *, timeout: float) -> None:
    """Ask `condition` ten times a second; ClusterError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {timeout:.0f} s in vain for: {what}")
        time.sleep(0.1)


def _tell(ended: threading.Event, lines: list[str], describe: Callable[[int], str]) -> None:
    while not ended.wait(_PROGRESS_INTERVAL):
        say(f"  … {describe(len(lines))}")


def _environment(extra: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if extra is None else {**os.environ, **extra}


def _failure(argv: Sequence[str], code: int, output: str) -> str:
    tail = "\n".join(output.strip().splitlines()[-25:])
    return f"exit code {code} from: {' '.join(argv)}\n{tail}"
