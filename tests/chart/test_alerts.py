"""Each alert of the chart fires where it should, and only there, and resolves: Prometheus' own tool evaluates them."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry

from longtask_mcp.metrics import Metrics
from longtask_operator.metrics import METRICS
from tests.cluster import programs
from tests.cluster.lock import exclusively
from tests.cluster.paths import BIN
from tests.docs.pages import ROOT, headings

RULES = ROOT / "charts" / "longtask" / "files" / "alerts.yaml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}


@dataclass(frozen=True)
class Case:
    """Samples of series a minute apart (`0+2x30`: from 0, 2 more each minute, 30 times; `_`: none), and when the alert
    fires: the minutes at which it is seen firing, and those at which it is not."""

    alert: str
    series: dict[str, str]
    fires: tuple[int, ...]
    silent: tuple[int, ...]
    labels: dict[str, str]


def counted(metric: str, labels: str, values: str) -> dict[str, str]:
    return {f'{metric}{{namespace="a",pod="0",{labels}}}': values}


ENDED = "longtask_tasks_ended_total"
CASES = [
    Case(
        "LongTaskNoLeader",
        {'longtask_leader{namespace="a",pod="0"}': "1x5 0x9 1x10", 'longtask_leader{namespace="a",pod="1"}': "0x26"},
        (9, 14),
        (5, 7, 17),
        {"namespace": "a"},
    ),
    Case("LongTaskNoLeader", {'longtask_leader{namespace="a",pod="0"}': "1x5 _x9 1x10"}, (13,), (5, 17), {}),
    Case(
        "LongTaskTwoLeaders",
        {'longtask_leader{namespace="a",pod="0"}': "1x20", 'longtask_leader{namespace="a",pod="1"}': "0x3 1x6 0x10"},
        (7, 9),
        (3, 5, 12),
        {"namespace": "a"},
    ),
    Case(
        "LongTaskTwoLeaders",
        {'longtask_leader{namespace="a",pod="0"}': "1x20", 'longtask_leader{namespace="b",pod="0"}': "1x20"},
        (),
        (5, 15),
        {},
    ),
    Case(
        "LongTaskLeaderChanges",
        {'longtask_lease_losses_total{namespace="a",pod="0"}': "0x10 0+1x5 5x80"},
        (20, 60),
        (10, 90),
        {"namespace": "a"},
    ),
    Case(
        "LongTaskWatchSilent",
        {'longtask_watch_age_seconds{namespace="a",pod="0",resource="jobs"}': "20x5 50+60x5 3x10"},
        (9, 10),
        (5, 7, 12),
        {"namespace": "a", "pod": "0", "resource": "jobs"},
    ),
    Case(
        "LongTaskQueueGrows",
        {'longtask_queue_length{namespace="a",pod="0"}': "0x5 5000x8 0 300x30 0x10"},
        (30, 40),
        (10, 15, 25, 47),
        {"namespace": "a"},
    ),
    Case(
        "LongTaskStepsFail",
        {'longtask_reconcile_errors_total{namespace="a",pod="0"}': "0x5 0+30x30 900x30"},
        (30, 35),
        (5, 60),
        {"namespace": "a"},
    ),
    Case(
        "LongTaskDeliveriesFail",
        counted("longtask_delivery_failures_total", 'reason="NoCredentials"', "0x5 0+1x30 30x60"),
        (20, 40),
        (5, 70),
        {"namespace": "a", "reason": "NoCredentials"},
    ),
    Case(
        "LongTaskArchiveFails",
        counted("longtask_archive_failures_total", 'reason="StoreUnavailable"', "0x5 0+1x30 30x60"),
        (20, 40),
        (5, 70),
        {"namespace": "a", "reason": "StoreUnavailable"},
    ),
    Case(
        "LongTaskSinkDown",
        {'longtask_notifications_pending{namespace="a",pod="0",sink="chat"}': "0x5 3x40 0x10"},
        (40, 45),
        (5, 30, 48),
        {"namespace": "a", "sink": "chat"},
    ),
    Case(
        "LongTaskNotificationsLost",
        counted("longtask_notifications_given_up_total", 'sink="chat",reason="Gone"', "0x5 1x90"),
        (10, 50),
        (5, 70),
        {"namespace": "a", "sink": "chat", "reason": "Gone"},
    ),
    Case(
        "LongTaskReportsRefused",
        counted("longtask_task_api_refused_total", 'reason="Expired"', "0x5 0+60x10 600x30"),
        (10, 15),
        (5, 30),
        {"namespace": "a", "reason": "Expired"},
    ),
    Case(
        "LongTaskTasksFail",
        counted(ENDED, 'template="t",phase="Failed",reason="Error"', "0x5 0+1x10 10x90")
        | counted(ENDED, 'template="t",phase="Succeeded",reason=""', "0x5 0+0.5x10 5x90"),
        (20, 40),
        (5, 90),
        {"namespace": "a", "template": "t"},
    ),
    Case(
        "LongTaskTasksFail",
        counted(ENDED, 'template="t",phase="Failed",reason="Error"', "0+1x60")
        | counted(ENDED, 'template="t",phase="Succeeded",reason=""', "0+2x60"),
        (),
        (30, 60),
        {},
    ),
    Case(
        "LongTaskTasksStall",
        counted(ENDED, 'template="t",phase="Failed",reason="Stalled"', "0x5 0+1x5 5x90"),
        (15, 40),
        (5, 90),
        {"namespace": "a", "template": "t"},
    ),
    Case(
        "LongTaskTasksDoNotStart",
        counted(ENDED, 'template="t",phase="Failed",reason="StartTimeout"', "0x5 0+1x5 5x90"),
        (15, 40),
        (5, 90),
        {"namespace": "a", "template": "t"},
    ),
    Case(
        "LongTaskCallersRefused",
        counted("longtask_mcp_auth_refusals_total", 'reason="Expired"', "0x5 0+10x10 100x30"),
        (10, 15),
        (5, 30),
        {"namespace": "a", "reason": "Expired"},
    ),
    Case(
        "LongTaskIssuerSilent",
        {'longtask_mcp_issuer_keys_age_seconds{namespace="a",pod="0",issuer="https://a"}': "0x5 60+60x30 5x20"},
        (30, 35),
        (5, 20, 38),
        {"namespace": "a", "issuer": "https://a"},
    ),
    Case(
        "LongTaskCallsCrash",
        counted("longtask_mcp_tool_calls_total", 'tool="list_tasks",outcome="crash"', "0x5 1x60"),
        (10, 30),
        (5, 40),
        {"namespace": "a", "tool": "list_tasks"},
    ),
    Case(
        "LongTaskEventLoopBlocked",
        {'longtask_event_loop_blocked_total{namespace="a",pod="0"}': "0x5 0+2x15 30x30"},
        (15, 20),
        (5, 40),
        {"namespace": "a", "pod": "0"},
    ),
    Case(
        "LongTaskClockWrong",
        {'longtask_clock_skew_seconds{namespace="a",pod="0"}': "0x5 -60x20 0x10"},
        (17, 25),
        (5, 14, 28),
        {"namespace": "a", "pod": "0"},
    ),
]


@pytest.fixture(scope="module")
def promtool() -> Path:
    with exclusively():
        programs.build_prometheus()
    return BIN / "promtool"


def test_the_rules_are_valid(promtool: Path) -> None:
    checked = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_fires_and_resolves(promtool: Path, tmp_path: Path) -> None:
    tests = [
        {
            "name": f"{case.alert} ({number})",
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "promql_expr_test": [_at(minute, case, firing=True) for minute in case.fires]
            + [_at(minute, case, firing=False) for minute in case.silent],
        }
        for number, case in enumerate(CASES)
    ]
    file = tmp_path / "alerts.test.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    tested = subprocess.run([promtool, "test", "rules", file], check=False, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def _at(minute: int, case: Case, *, firing: bool) -> dict[str, Any]:
    labels = {"alertname": case.alert, "alertstate": "firing", "severity": ALERTS[case.alert]["labels"]["severity"]}
    written = ", ".join(f"{name}={json.dumps(value)}" for name, value in (labels | case.labels).items())
    return {
        "expr": f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": f"ALERTS{{{written}}}", "value": 1}] if firing else [],
    }


def test_each_has_a_case_and_a_section_for_those_on_call() -> None:
    assert {case.alert for case in CASES if case.fires} == ALERTS.keys()
    assert {alert.lower() for alert in ALERTS} <= headings(ROOT / "docs" / "alerts.md")


def test_each_metric_is_one_of_a_servers() -> None:
    assert METRICS is not None, "it is registered where it is made"
    known = _names(Metrics(lambda: 0, {"tasks": lambda: 0.0}).registry) | _names(REGISTRY)
    for alert, rule in ALERTS.items():
        used = set(re.findall(r"\blongtask_[a-z_]+", rule["expr"]))
        assert used, alert
        assert used <= known, (alert, used - known)


def _names(registry: CollectorRegistry) -> set[str]:
    suffixes = {"counter": ("_total",), "histogram": ("_sum", "_count", "_bucket")}
    return {family.name + suffix for family in registry.collect() for suffix in suffixes.get(family.type, ("",))}
