"""A plugin of pytest that spreads the tests over the workers of pytest-xdist: `-p tests.spread`.

A unit runs in one worker, in the order of its tests. Most units are a file; a worker has fixtures of its own for the
session, so an operator, an MCP server and namespaces of its own. What lasts begins first.
"""

import importlib
import pkgutil
import time
from collections import Counter

import coverage
import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

RELEASE = "tests/chart: a release"
"""All tests of the chart that need its release: there is one of its name and namespaces in the cluster."""
TALKS, LOAD = "tests/e2e: talks", "tests/e2e: load"
"""The tests from end to end. Each unit has a release of its own, which takes a while to install."""
UNDER_LOAD = (
    *("test_control.py", "test_examples.py", "test_following.py", "test_many.py"),
    *("test_reports.py", "test_restarts.py", "test_starting_once.py"),
)
WAITS = ("faults", "operator", "delivery", "notification", "store")
"""Folders whose tests wait for pods, leases and timeouts for most of their time."""
COMPUTES = ("docs", "cli", "mcp", "conformance", "chart", "api", "sdk", "emulator", "matrix", "unit")
"""Those whose tests keep the CPU busy. Of both kinds there is something to do all the time."""
RUN_ELSEWHERE = ("faults", "operator", "chart", "docs", "e2e")
"""Folders whose tests talk to the product in processes of its own, each of which is measured."""
THOUSANDS = tuple(f"tests/unit/test_{name}.py" for name in ("invariants", "misshapen_pods", "messages"))
"""Tests that try thousands of examples of what others reach too."""
PRODUCT = ("longtask", "longtask_api", "longtask_runtime", "longtask_operator", "longtask_mcp", "longtask_cli")
"""All of which branches are measured."""
EACH_FOR_ITSELF = ("tests/delivery/test_faults.py", "tests/notification/test_kills.py", "tests/sdk/test_run.py")
"""Files that last, whose tests share nothing; so do those of tests/faults."""
RENDERED = ("test_alerts.py", "test_rendering.py", "test_task_namespace.py", "test_values.py")
"""Tests of the chart that need no release."""

MEASURING = coverage.Coverage.current()
"""What measures the branches that are reached in this process, where somebody wants to know them."""

hypothesis.settings.register_profile(
    "whole", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("whole")
"""A whole run tries the same examples each time, and says the same, however slow the machine is; a run of some tests
draws others."""


class Spread(LoadScopeScheduling):
    """Gives a free worker the next unit."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def unit(nodeid: str) -> str:
    """The unit to which a test belongs."""
    path, _, _ = nodeid.partition("::")
    *_, name = path.split("/")
    if folder(path) == "e2e":
        return LOAD if name in UNDER_LOAD else TALKS
    if folder(path) == "chart" and name not in RENDERED:
        return RELEASE
    return nodeid if folder(path) == "faults" or path in EACH_FOR_ITSELF else path


def places(units: list[str]) -> dict[str, float]:
    """Where each unit comes in the order of all, from 0 to 1."""
    found = dict.fromkeys((LOAD, TALKS, RELEASE), -1.0)  # they take longest
    for folders in (WAITS, COMPUTES):
        kind = [each for each in units if each not in found and folder(each) in folders]
        kind.sort(key=lambda each: folders.index(folder(each)))
        found |= {each: place / len(kind) for place, each in enumerate(kind)}
    return found


def folder(of: str) -> str:
    """The folder of a test or a unit."""
    return of.split("/")[1].partition(":")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Measure that modules of the product are loaded, and then nothing before the first test: to trace the collection
    costs as much CPU time as the collection, in each worker.
    """
    for package in map(importlib.import_module, PRODUCT if MEASURING is not None else ()):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    measure(False)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shared := [nodeid for nodeid, count in Counter(item.nodeid for item in items).items() if count > 1]:
        raise pytest.UsageError(f"one of each would run, because xdist knows a test by its id: {shared}")
    if addresses := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"each worker would have another id for it: {addresses}")
    units = {item.nodeid: unit(item.nodeid) for item in items}
    place = places(list(dict.fromkeys(units.values())))
    items.sort(key=lambda item: (place[units[item.nodeid]], units[item.nodeid]))


class Told:
    """Tells each failure when it happens: what ends the run from outside leaves no report of it."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._begin = time.monotonic()
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            minutes = (time.monotonic() - self._begin) / 60
            cause = getattr(getattr(report.longrepr, "reprcrash", None), "message", "")
            self._terminal.write_line(f"\n{minutes:.1f} min: {report.when} of {report.nodeid}: {cause[:500]}")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Workers have no terminal."""
    terminal: pytest.TerminalReporter | None = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Told(terminal))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spread:
    config.option.loadscopereorder = False
    return Spread(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Measure the branches that a test reaches in this process only where others do not: it costs half as much CPU
    time again.
    """
    path = item.nodeid.partition("::")[0]
    measure(folder(path) not in RUN_ELSEWHERE and path not in THOUSANDS)


def measure(wanted: bool) -> None:
    """From now on, or not. To begin takes 15 ms, so only what changes is done."""
    if MEASURING is not None and wanted != (coverage.Coverage.current() is MEASURING):
        MEASURING.start() if wanted else MEASURING.stop()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write what was measured: xdist kills a worker that has not ended ten seconds after it has reported."""
    if MEASURING is not None:
        MEASURING.save()


def named(value: object) -> str:
    """The id of a parameter: the same in each worker, where the order of a set is not."""
    return f"{{{', '.join(sorted(map(repr, value)))}}}" if isinstance(value, set | frozenset) else str(value)
