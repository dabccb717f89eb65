"""Names and numbers that the pages give are those of the code."""

import ast
import re
from collections.abc import Iterator
from typing import Any, TypeGuard

import prometheus_client
import pytest
import yaml

from longtask_api import bounds, checking, constants, longtask, reports, template
from longtask_mcp.metrics import Metrics
from longtask_operator import metrics
from longtask_operator.agentcore import error_classification
from longtask_operator.planning import failure_reasons, notifications, task_events
from longtask_operator.settings import Settings
from longtask_operator.store.store import MAX_CONFIG_MAP_BYTES
from longtask_operator.task_api import limits, questions, results
from longtask_operator.task_api import reports as report_calls
from longtask_runtime.authentication import Reason
from tests.docs.pages import PAGES, ROOT

AUTHORS, OPERATE, ON_CALL = (
    (ROOT / "docs" / f"{page}.md").read_text() for page in ("authors", "operate", "troubleshooting")
)
OPERATOR = ROOT / "operator" / "longtask_operator"
PODS = [path for path in (OPERATOR / "task_api").glob("*.py") if path.name not in ("archive.py", "task_reads.py")]
DELIVERY = ("agentcore", "archive", "delivery")
NOT_FOR_PODS = {"NotAReader", "OutOfRange"}
KIB = 1024
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}


def limit(model: Any, field: str) -> int:
    """The longest that a field may be."""
    return next(int(each.max_length) for each in model.model_fields[field].metadata if hasattr(each, "max_length"))


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("parameters, as JSON", f"{constants.MAX_PARAMETERS_BYTES // KIB} KiB"),
        ("a template", f"name {constants.MAX_TEMPLATE_NAME} of"),
        ("a template", f"title {limit(template.LongTaskTemplateSpec, 'title')} characters"),
        ("a template", f"description {limit(template.LongTaskTemplateSpec, 'description'):,} characters"),
        ("termination message", f"{constants.MAX_RESULT_BYTES - 1:,} bytes"),
        ("result in status", f"{reports.MAX_INLINE_RESULT // KIB} KiB"),
        ("result where there is", f"{results.MAX_CHECKED_RESULT // KIB // KIB} MiB"),
        ("`parametersSchema`, `resultSchema`", f"{constants.MAX_SCHEMA_BYTES // KIB} KiB"),
        ("`parametersSchema`, `resultSchema`", f"{checking.MAX_PATTERNS} different patterns"),
        ("JSON that is looked into", f"{bounds.MAX_DEPTH} levels of lists and objects"),
        ("JSON that is looked into", f"{bounds.MAX_VALUES:,} values and names"),
        ("`summary`", f"{limit(reports.Result, 'summary'):,} characters"),
        ("checkpoint in status", f"{reports.MAX_INLINE_CHECKPOINT // KIB} KiB"),
        ("artifacts", f"{reports.MAX_ARTIFACTS} a task"),
        ("a report of progress", f"{report_calls.MAX_PROGRESS_BODY // KIB} KiB"),
        ("a report of progress", f"message {limit(reports.Progress, 'message'):,} characters"),
        ("a report of progress", f"unit {limit(reports.Progress, 'unit')}"),
        ("a report of progress", f"metrics {reports.MAX_METRICS}"),
        ("questions", f"{reports.MAX_QUESTIONS} a task"),
        ("questions", f"message {limit(reports.InputRequest, 'message'):,} characters"),
        ("questions", f"schema {questions.MAX_SCHEMA:,}"),
        ("questions", f"default {questions.MAX_DEFAULT:,}"),
        ("questions", f"answer {limit(longtask.InputResponse, 'value'):,}"),
        ("calls of a task", f"{DEFAULTS['reports_per_second_per_task']} a second"),
        ("calls of a task", f"{4 * DEFAULTS['reports_per_second_per_task']} at once"),
        ("calls of a task", f"{limits.CALLS_AT_ONCE} under way, with {limits.ROOM_OF_A_TASK // KIB // KIB} MiB"),
        ("log kept", f"{failure_reasons.LOG_TAIL_LIMIT:,} characters of a failure"),
        ("log kept", f"{failure_reasons.SHORT_LOG_TAIL_LIMIT:,} of a success"),
        ("up to 900", f"up to {MAX_CONFIG_MAP_BYTES // KIB} KiB"),
        ("more, up to", f"({DEFAULTS['store_max_bytes'] // KIB**3} GiB)"),
    ],
)
def test_the_authors_tables_have_the_limits(what: str, value: str) -> None:
    rows = [line for line in AUTHORS.splitlines() if line.startswith(f"| {what}")]
    assert any(value in row for row in rows), rows


@pytest.mark.parametrize(
    ("value", "default"),
    [
        ("intervalSeconds", DEFAULTS["report_interval_seconds"]),
        ("maxWritesPerSecond", DEFAULTS["report_writes_per_second"]),
        ("maxPerSecondPerTask", DEFAULTS["reports_per_second_per_task"]),
    ],
)
def test_the_operators_page_has_the_defaults_of_reports(value: str, default: float) -> None:
    assert f"| `operator.reports.{value}` | {default} |" in OPERATE


def test_every_refusal_that_a_pod_can_get_is_explained() -> None:
    reasons = {reason for path in PODS for reason in _reasons(path.read_text(), "Refusal", "later", "_forbidden")}
    assert {"TaskEnded", "AttemptNotKnown", "NotItsJob", "TooLarge"} <= reasons
    assert [reason for reason in reasons - NOT_FOR_PODS if f"`{reason}`" not in AUTHORS] == []


def test_every_reason_of_a_failure_is_explained() -> None:
    sources = [path.read_text() for path in (OPERATOR / "planning").glob("*.py")]
    reasons = {reason for text in sources for reason in _reasons(text, "Failure", "Trouble")}
    reasons |= {failure_reasons.STALLED, "OOMKilled", "StartError", *failure_reasons.DISRUPTIONS.values()}
    reasons.add(task_events.TEMPLATE_NOT_CHECKED)
    assert {"InvalidResult", "NodeLost", "StartTimeout"} <= reasons
    assert [reason for reason in reasons if f"`{reason}" not in ON_CALL] == []


def test_every_event_is_explained() -> None:
    yields = [node.value for node in ast.walk(_module("task_events")) if isinstance(node, ast.Yield)]
    given = [told.elts[1] for told in yields if isinstance(told, ast.Tuple)]
    reasons = {each.value for each in given if _is_text(each)}
    assert "AttemptEnded" in reasons
    normal = {"Suspended", "Resumed", "InputRequested"}
    assert [reason for reason in reasons - normal if f"`{reason}`" not in ON_CALL] == []


def test_every_reason_why_a_template_is_not_ready_is_explained() -> None:
    tree = ast.parse((OPERATOR / "template_controller.py").read_text())
    texts = [each.value for each in ast.walk(tree) if _is_text(each)]
    words = {text for text in texts if re.fullmatch(r"[A-Z][a-z]+[A-Z]\w+", text)}
    assert {"InvalidSpec", "InvalidPod"} <= words
    assert [word for word in words if f"`{word}`" not in ON_CALL] == []


def test_every_message_of_a_task_that_goes_on_is_explained() -> None:
    spans = re.findall(r"`([^`\n]+)`", ON_CALL)
    modules = [ast.parse(path.read_text()) for path in (OPERATOR / "planning").glob("*.py")]
    told = {words for module in modules for words in _told(module) if len(words) > 3}
    assert {"cancelling", "waiting for the pod to start", "suspending: waiting for the pod to end"} <= told
    assert [words for words in told if not any(words in span for span in spans)] == []


def test_every_reason_why_a_session_was_not_told_or_a_record_not_kept_is_explained() -> None:
    sources = [path.read_text() for folder in DELIVERY for path in (OPERATOR / folder).glob("*.py")]
    reasons = {
        reason for text in sources for reason in _reasons(text, "Classification")
    } | error_classification.CONFIGURATION
    assert {"AccessDenied", "NoCredentials", "Throttled"} <= reasons
    assert [reason for reason in {*reasons, longtask.REFUSED} if f"| `{reason}` |" not in ON_CALL] == []


def test_every_reason_why_a_sink_was_not_notified_is_explained() -> None:
    sources = [path.read_text() for path in (OPERATOR / "notification").glob("*.py")]
    reasons = {reason for text in sources for reason in _reasons(text, "Outcome", "failed")} | notifications.TO_BE_FIXED
    assert {"Throttled", "NoAnswer", "Gone", "SinkNotConfigured"} <= reasons
    rows = "\n".join(line for line in ON_CALL.splitlines() if line.startswith("|"))
    assert [reason for reason in reasons if f"`{reason}`" not in rows] == []


def test_metrics_that_pages_name_exist() -> None:
    known = {family.name for family in prometheus_client.REGISTRY.collect()}
    known |= {family.name for family in Metrics(lambda: 0, {}).registry.collect()}
    assert metrics.METRICS is not None
    spans = re.findall(r"`([^`\n]+)`", OPERATE + ON_CALL)
    named = {name for span in spans for name in re.findall(r"(?:^|\()(longtask_\w+)", span)}
    assert {"longtask_report_writes_total", "longtask_lease_losses_total"} <= named
    assert [name for name in named if name.removesuffix("_total") not in known] == []


def test_values_that_pages_name_exist() -> None:
    values = yaml.safe_load((ROOT / "charts" / "longtask" / "values.yaml").read_text())
    pattern = rf"`((?:{'|'.join(values)})(?:\.\w+)+)`"
    # One has the keys of answers instead, the other names that are gone.
    pages = [page.read_text() for page in PAGES if page.name not in ("agents.md", "CHANGELOG.md")]
    named = {name for page in pages for name in re.findall(pattern, page)}
    assert "operator.store.s3" in named
    assert [name for name in named if not _has(values, name.split("."))] == []


def _has(values: Any, path: list[str]) -> bool:
    return not path or (isinstance(values, dict) and path[0] in values and _has(values[path[0]], path[1:]))


def _module(name: str) -> ast.Module:
    return ast.parse((OPERATOR / "planning" / f"{name}.py").read_text())


MESSAGE_OF = {"in_progress": 3, "_stopping": 4}
"""Which argument is the message of a task that goes on."""


def _told(module: ast.Module) -> Iterator[str]:
    """The longest fixed part of each such message: what is given to those calls, by a name or a function of the module
    too."""
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in MESSAGE_OF:
                yield from _fixed(node.args[MESSAGE_OF[name]])
            case ast.Assign(targets=[ast.Name(id="message")]) if _goes_on(module, node):
                yield from _fixed(node.value)
            case ast.Assign(targets=[ast.Tuple(elts=[_, ast.Name(id="message")])], value=ast.Tuple(elts=[_, value])):
                yield from _fixed(value)
            case ast.FunctionDef(name="_waiting_message" | "_ended_but_its_pod" | "_ending" | "_without_terms"):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return | ast.Assign) and inner.value is not None:
                        yield from _fixed(inner.value)


def _goes_on(module: ast.Module, node: ast.AST) -> bool:
    """Whether the function around it makes the status of a task that goes on."""
    functions = [each for each in module.body if isinstance(each, ast.FunctionDef) and node in ast.walk(each)]
    calls = [each.func for function in functions for each in ast.walk(function) if isinstance(each, ast.Call)]
    return any(isinstance(each, ast.Attribute) and each.attr == "in_progress" for each in calls)


def _fixed(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from (*_fixed(value.body), *_fixed(value.orelse))
    elif _is_text(value):
        yield _words(value.value)
    elif isinstance(value, ast.JoinedStr):
        yield max((_words(part.value) for part in value.values if _is_text(part)), key=len, default="")


def _words(text: str) -> str:
    """Its first sentence, without what stands around."""
    return text.partition(". ")[0].strip(" ;,:.")


def _is_text(node: ast.AST) -> TypeGuard[Any]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _reasons(source: str, *makers: str) -> Iterator[str]:
    """The reasons, CamelCase words, that calls of these names are given."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers:
            given = [*node.args[:2], *(each.value for each in node.keywords if each.arg == "reason")]
            for value in given:
                if isinstance(value, ast.Constant) and re.fullmatch(r"[A-Z][A-Za-z]+", str(value.value)):
                    yield str(value.value)


def test_every_reason_to_refuse_an_agent_is_explained() -> None:
    section = ON_CALL.partition("## An agent is refused")[2].partition("\n## ")[0]
    others = {"Forbidden", "InsufficientScope", "BadHeaders", "Unavailable"}
    assert [reason for reason in {*Reason, *others} if f"`{reason}`" not in section] == []
