"""Prometheus metrics of this process."""

from collections.abc import Callable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from longtask import __version__
from longtask_runtime.clock import CLOCK
from longtask_runtime.watchdog import Watchdog


class Metrics:
    """Metrics of one server. Label values are bounded: unknown tools and templates count as `unknown`."""

    def __init__(self, cached_tasks: Callable[[], int], watch_ages: Mapping[str, Callable[[], float]]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.watchdog = Watchdog(self.registry)
        skew = Gauge(
            "longtask_clock_skew_seconds",
            "How far this machine's clock is ahead of the API server's.",
            registry=self.registry,
        )
        skew.set_function(lambda: CLOCK.skew)
        build = Gauge("longtask_build_info", "1, with the version of LongTask.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)
        self.calls = Counter(
            "longtask_mcp_tool_calls_total",
            "Tool calls by outcome: ok, error (told to the agent), crash, cancelled.",
            ["tool", "outcome"],
            registry=self.registry,
        )
        self.call_seconds = Histogram(
            "longtask_mcp_tool_call_seconds",
            "Time from the call to its answer, in seconds; waits included.",
            ["tool"],
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self.registry,
        )
        self.refusals = Counter(
            "longtask_mcp_auth_refusals_total",
            "Requests refused before they reached a tool, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.starts = Counter(
            "longtask_mcp_starts_total",
            "Starts by outcome: created, repeated (met an earlier start), rejected.",
            ["template", "outcome"],
            registry=self.registry,
        )
        self.starts_in_flight = Gauge(
            "longtask_mcp_starts_in_flight", "Starts that have begun and not ended.", registry=self.registry
        )
        cached = Gauge("longtask_mcp_cached_tasks", "LongTasks that this server knows of.", registry=self.registry)
        cached.set_function(cached_tasks)
        age = Gauge(
            "longtask_watch_age_seconds",
            "Since the API server was last heard of about a kind of object; 20 s where nothing changes.",
            ["resource"],
            registry=self.registry,
        )
        for plural, seconds in watch_ages.items():
            age.labels(plural).set_function(seconds)
        self._keys_age = Gauge(
            "longtask_mcp_issuer_keys_age_seconds",
            "Since the public keys of an issuer were read; infinite before; up to 305 s.",
            ["issuer"],
            registry=self.registry,
        )

    def follow_keys(self, ages: Mapping[str, Callable[[], float]]) -> None:
        """Show the age of the keys of these issuers, in seconds."""
        for issuer, age in ages.items():
            self._keys_age.labels(issuer).set_function(age)
