"""The termination message, which a container leaves in its pod's status."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

MAX_MESSAGE: Final = 4095
"""Bytes. kubelet keeps the last 4,096, so a message of that length may have lost its beginning."""
SAFE_MESSAGE: Final = 1023
"""Bytes that arrive complete in a pod of up to 12 containers. kubelet shares 12 KiB among all containers of a pod, init
and injected ones too, and keeps the beginning of each message (normalizeStatus in its status_manager.go)."""


def termination_log(environment: Mapping[str, str]) -> Path | None:
    """The file for the message: LONGTASK_TERMINATION_LOG, else in a pod /dev/termination-log; None in a local run."""
    in_pod = "LONGTASK_ID" in environment or "LONGTASK_REPORT_URL" in environment
    path = environment.get("LONGTASK_TERMINATION_LOG") or ("/dev/termination-log" if in_pod else None)
    return Path(path) if path else None


def write_message(path: Path, message: bytes) -> bool:
    """Write the message. Returns False if the file cannot be written."""
    try:
        path.write_bytes(message)
    except OSError:
        return False
    return True
