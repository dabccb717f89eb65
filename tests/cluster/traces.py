"""What a local cluster changes on the machine, how to undo it, and the proof that it is undone."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster import addresses, cgroups, network
from tests.cluster.paths import BIN, CACHE, RUN
from tests.cluster.steps import wait_until

_SAVED_SYSCTLS = RUN / "sysctls.json"
_SYSCTLS = (  # all that the kubelet sets for the whole machine
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
_INIT = ["-m", "tests.cluster.init"]
_CLIENTS = {str(BIN / name) for name in ("kubectl", "helm")}


def save_sysctls() -> None:
    """Write down the machine's settings before the kubelet changes them."""
    values = {name: Path("/proc/sys", name).read_text().strip() for name in _SYSCTLS}
    _SAVED_SYSCTLS.write_text(json.dumps(values, indent=1))


def restore_sysctls() -> None:
    """Put back what `save_sysctls` wrote down."""
    for name, value in _changed_sysctls().items():
        Path("/proc/sys", name).write_text(value)


def kill_processes() -> None:
    """Kill process 1 of the cluster, with which the kernel kills all of its namespace, and kwok."""
    for pid in processes():
        with suppress(ProcessLookupError):  # another one's death took it along
            os.kill(pid, signal.SIGKILL)
    wait_until("the cluster's processes to end", lambda: not list(processes()), timeout=30)


def found() -> dict[str, list[str]]:
    """Everything of a cluster that is on the machine now, by kind."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "processes": [str(pid) for pid in processes()],
        "mounts": [line for line in mounts if f" {CACHE}/" in line],
        "interfaces": network.interfaces(),
        "routes": network.routes(),
        "iptables rules": network.packet_filter_rules(),
        "cgroups": [str(path) for path in cgroups.found()],
        "changed sysctls": list(_changed_sysctls()),
        "files": [str(RUN)] if RUN.exists() else [],
    }


def processes() -> Iterator[int]:
    """Processes of the cluster: its first, its daemons, and what runs in its pods."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid() and _belongs(folder):
            yield int(folder.name)


def first_process() -> int | None:
    """The process that is number 1 in the cluster's namespaces, by its number on the machine."""
    for pid in processes():
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        if len(numbers) > 2 and numbers[-1] == "1" and _is_init(_words(Path(f"/proc/{pid}"))):
            return pid
    return None


def foreign() -> Path | None:
    """The run folder of a cluster that lives from another cache."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = _words(folder)
        except OSError:
            continue
        if words[-3:-1] == _INIT and words[-1] != str(RUN):
            return Path(words[-1])
    return None


def _belongs(process: Path) -> bool:
    try:
        words = _words(process)
        if not words:  # a kernel thread, or one that has ended and waits for its parent
            return False
        program = str((process / "exe").readlink()).removesuffix(" (deleted)")
        groups = (process / "cgroup").read_text()
    except OSError:
        return False
    in_pod = any(f":/{addresses.CGROUP}/" in line for line in groups.splitlines())
    ours = Path(program).parent == BIN and program not in _CLIENTS
    return in_pod or ours or _is_init(words)


def _is_init(words: list[str]) -> bool:
    return words[-3:] == [*_INIT, str(RUN)]


def _words(process: Path) -> list[str]:
    command = os.fsdecode((process / "cmdline").read_bytes())
    return command.rstrip("\0").split("\0") if command else []


def _changed_sysctls() -> dict[str, str]:
    """Settings that differ from what was saved, with the saved values."""
    if not _SAVED_SYSCTLS.exists():
        return {}
    saved: dict[str, str] = json.loads(_SAVED_SYSCTLS.read_text())
    return {name: value for name, value in saved.items() if Path("/proc/sys", name).read_text().strip() != value}
