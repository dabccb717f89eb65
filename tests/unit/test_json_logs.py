"""Both servers' logs: JSON, one object a line, whatever happens."""

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

RUNTIME = Path(__file__).parents[2] / "runtime"
PROGRAM = """
import logging, threading, warnings
from longtask_runtime import logs

logs.configure("INFO")
logging.getLogger("a").info("one\\ntwo")
warnings.warn("odd")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("the end")
"""


IN_A_LINE = """
import logging

import aiohttp

from longtask_operator.leader_election import NotLeading
from longtask_runtime import logs
from longtask_runtime.kube import KubeError

logs.configure("INFO")
for error in (TimeoutError(), aiohttp.ClientError("refused"), KubeError(500, "InternalError", "no"), NotLeading("x")):
    try:
        raise error
    except Exception as raised:
        logging.getLogger("a").warning("failed", exc_info=raised)
"""


def test_what_happens_in_operation_is_a_line_and_no_traceback() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", IN_A_LINE],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(RUNTIME.parent / "operator")},
        timeout=60,
    )
    assert [json.loads(line)["exc_info"] for line in ran.stderr.splitlines()] == [
        "TimeoutError: no answer in time",
        "ClientError: refused",
        "KubeError: 500 InternalError: no",
        "NotLeading: x",
    ]


def test_each_line_is_json_with_an_rfc_3339_time_also_of_what_nobody_caught() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(RUNTIME)},
        timeout=60,
    )
    records = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(each["level"], each["message"].splitlines()[0]) for each in records] == [
        ("INFO", "one"),
        ("WARNING", "<string>:7: UserWarning: odd"),
        ("CRITICAL", "uncaught exception"),
        ("CRITICAL", "uncaught exception"),
    ]
    assert "ValueError: the end" in records[-1]["exc_info"]
    for each in records:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", each["time"])
        assert datetime.fromisoformat(each["time"]).tzinfo is not None
    assert ran.returncode == 1
