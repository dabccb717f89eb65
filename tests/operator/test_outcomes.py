"""What becomes of a task, by what its pod does: real Jobs and pods. All start together, each test waits for its own."""

import json
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import ANY

import pytest

from tests.operator.tasks import Tasks, container, template_spec

pytestmark = pytest.mark.cluster

WRITE = "open('/dev/termination-log', 'w').write"
LONG = "import time; print('working', flush=True); time.sleep(600)"
LOUD = "import time\nfor n in range(100): print('line', n, flush=True)\ntime.sleep(600)"


@dataclass(frozen=True)
class Case:
    """Code to run and what must come of it."""

    code: str
    phase: str
    template: str = "plain"
    spec: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    log_tail: str | None = None
    failure: dict[str, Any] = field(default_factory=dict)
    attempts: list[str] | None = None


TEMPLATES = {
    "plain": template_spec(),
    "retried": template_spec(retry={"limit": 1}),
    "small": template_spec({"containers": [container(resources={"limits": {"memory": "32Mi"}})]}),
    "short-attempt": template_spec({"activeDeadlineSeconds": 30}),
    "no-image": template_spec({"containers": [container(image="localhost/none:1")]}, startTimeoutSeconds=45),
    "no-config": template_spec(
        {"containers": [container(envFrom=[{"configMapRef": {"name": "none"}}])]}, startTimeoutSeconds=45
    ),
    "too-big": template_spec(
        {"containers": [container(resources={"requests": {"cpu": "1000"}})]}, startTimeoutSeconds=45
    ),
    "numbered": template_spec(resultSchema={"type": "number"}),
    "slow": template_spec(resultSchema={"pattern": "^(a+)+$"}),
    "limited": template_spec(activeDeadlineSeconds=60, maxActiveDeadlineSeconds=60),
}

CASES = {
    "json-result": Case(
        f'{WRITE}(\'{{"score": 0.5, "n": 3}}\')', "Succeeded", result={"value": {"score": 0.5, "n": 3}}
    ),
    "text-result": Case(f"{WRITE}('all is well')", "Succeeded", result={"text": "all is well"}),
    "no-result": Case("pass", "Succeeded", result={}),
    "log-of-a-success": Case(
        "for n in range(3000): print('line', n)",
        "Succeeded",
        result={},
        log_tail="\n".join(f"line {n}" for n in range(3000))[-4096:].partition("\n")[2],
    ),
    "log-of-a-failure": Case(
        "for n in range(3000): print('line', n)\nraise SystemExit(3)",
        "Failed",
        failure={"logTail": "\n".join(f"line {n}" for n in range(3000))[-8192:].partition("\n")[2]},
    ),
    "log-of-a-success-in-one-endless-line": Case(
        "for n in range(1000): print('x' * 10_000, end='')", "Succeeded", result={}, log_tail="x" * 4096
    ),
    "log-of-a-success-in-half-a-character": Case(
        "print('é' * 100_000); print('€' * 4096)", "Succeeded", result={}, log_tail="€" * 4096
    ),
    "result-that-fits": Case(f"{WRITE}('7')", "Succeeded", "numbered", result={"value": 7}),
    "result-that-does-not-fit": Case(
        f"print('done'); {WRITE}('[7]')",
        "Failed",
        "numbered",
        result={"value": [7], "mismatch": '[7] is not of type "number"'},
        failure={
            "reason": "InvalidResult",
            "message": "the work succeeded but its result does not fit the template's resultSchema: "
            '[7] is not of type "number"',
            "logTail": "done",
        },
    ),
    "no-result-where-one-must-be": Case(
        "pass",
        "Failed",
        "numbered",
        result={"mismatch": 'null is not of type "number"'},
        failure={"reason": "InvalidResult"},
    ),
    "result-that-takes-too-long-to-check": Case(
        f"{WRITE}('\"' + 'a' * 40 + '!\"')", "Failed", "slow", result=ANY, failure={"reason": "InvalidResult"}
    ),
    "number-too-large": Case(
        f"{WRITE}('[{2**70}]')", "Succeeded", result={"text": f"[{2**70}]", "mediaType": "application/json"}
    ),
    "unicode-result": Case(f'{WRITE}(\'{{"ü": "😀"}}\')', "Succeeded", result={"value": {"ü": "😀"}}),
    "result-over-4096-bytes": Case(f"{WRITE}('x' * 5000)", "Failed", failure={"reason": "ResultTooLarge"}),
    "exit-code-with-log-tail": Case(
        "print('before'); print('it broke'); raise SystemExit(3)",
        "Failed",
        failure={"reason": "Error", "exitCode": 3, "logTail": "before\nit broke"},
    ),
    "log-of-a-failure-in-many-lines": Case(
        "for n in range(900): print(n)\nraise SystemExit(3)",
        "Failed",
        failure={"logTail": "\n".join(str(n) for n in range(900))},
    ),
    "own-words-and-log-tail": Case(
        f"print('log'); f = {WRITE}('the disk is full'); raise SystemExit(4)",
        "Failed",
        failure={"message": "exit code 4: the disk is full", "logTail": "log"},
    ),
    "killed-by-signal": Case(
        "import os; os._exit(134)",
        "Failed",
        failure={"exitCode": 134, "signal": 6, "message": "killed by SIGABRT (exit code 134)"},
    ),
    "retried-once": Case("raise SystemExit(5)", "Failed", "retried", attempts=["Error", "Error"]),
    "out-of-memory": Case(
        "print('filling', flush=True); x = b'x' * 10**9",
        "Failed",
        "small",
        failure={
            "reason": "OOMKilled",
            "logTail": "filling",
            "message": "the work used more memory than it may have (limit 32Mi)",
        },
    ),
    "attempt-deadline": Case(
        LONG, "Failed", "short-attempt", failure={"reason": "DeadlineExceeded", "logTail": "working"}
    ),
    "total-deadline": Case(
        LONG,
        "Failed",
        spec={"activeDeadlineSeconds": 30},
        failure={
            "reason": "DeadlineExceeded",
            "logTail": "working",
            "message": "the work was active for longer than its activeDeadlineSeconds (30 s)",
        },
    ),
    "deadline-over-the-maximum": Case(
        "pass", "Failed", "limited", spec={"activeDeadlineSeconds": 61}, failure={"reason": "InvalidDeadline"}
    ),
    "image-that-is-not-there": Case("pass", "Failed", "no-image", failure={"reason": "ImagePullBackOff"}),
    "config-that-is-not-there": Case("pass", "Failed", "no-config", failure={"reason": "CreateContainerConfigError"}),
    "more-cpu-than-any-node": Case("pass", "Failed", "too-big", failure={"reason": "Unschedulable"}),
    "dollars-arrive-as-written": Case(
        f"import os; said = '$(KUBERNETES_SERVICE_HOST) $$ $HOME'\n{WRITE}(os.environ['LONGTASK_PARAM_CODE'][:63])",
        "Succeeded",
        result={"text": "import os; said = '$(KUBERNETES_SERVICE_HOST) $$ $HOME'\nopen('/"},
    ),
}


@pytest.fixture(scope="module")
def started(tasks: Tasks) -> Tasks:
    """All cases, under way at the same time."""
    for name, spec in TEMPLATES.items():
        tasks.template(name, spec)
    for name, case in CASES.items():
        tasks.run(name, case.template, case.code, **case.spec)
    return tasks


@pytest.mark.parametrize("name", CASES)
def test_outcome(started: Tasks, name: str) -> None:
    case = CASES[name]
    status = started.wait(name, "Succeeded", "Failed", "Cancelled")
    assert status["phase"] == case.phase, json.dumps(status, indent=1)
    succeeded = next(c for c in status["conditions"] if c["type"] == "Succeeded")
    assert succeeded["status"] == ("True" if case.phase == "Succeeded" else "False")
    assert status["completionTime"]
    assert status.get("result") == case.result
    assert case.log_tail is None or status["logTail"] == case.log_tail
    for key, value in case.failure.items():
        assert status["failure"][key] == value, status["failure"]
    if case.phase == "Failed":
        assert status["failure"]["hint"]
    if case.attempts is not None:
        assert [attempt["reason"] for attempt in status["attempts"]] == case.attempts
