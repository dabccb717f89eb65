"""Prometheus metrics of the operator."""

from collections.abc import Callable, Container, Iterator, Mapping
from datetime import datetime, timedelta

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from longtask import __version__
from longtask_api.longtask import LongTask, LongTaskStatus
from longtask_runtime.clock import CLOCK
from longtask_runtime.watchdog import Watchdog

LONG_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400, 3 * 86400, 7 * 86400)


OTHER = "other"
"""Template label of tasks whose template does not exist: a task may name any."""


class Metrics(Collector):
    """The operator's metrics; as a collector it also exports the number of tasks."""

    def __init__(self) -> None:
        self._tasks: Mapping[tuple[str, str], int] = {}
        self._templates: Callable[[], Container[str]] = tuple
        Gauge("longtask_build_info", "1, with the version of LongTask.", ["version"]).labels(__version__).set(1)
        REGISTRY.register(self)
        self.tasks_ended = Counter(
            "longtask_tasks_ended", "Tasks that ended, by template, phase and reason.", ["template", "phase", "reason"]
        )
        self.task_seconds = Histogram(
            "longtask_task_duration_seconds", "From start to end of the work.", ["template"], buckets=LONG_BUCKETS
        )
        self.queue_seconds = Histogram(
            "longtask_task_queued_seconds",
            "From creation of the task to the start of its work.",
            ["template"],
            buckets=LONG_BUCKETS,
        )
        self.jobs_created = Counter("longtask_jobs_created", "Jobs created.")
        self.status_writes = Counter("longtask_status_writes", "Status writes of tasks.")
        self.conflicts = Counter("longtask_status_conflicts", "Status writes refused because the task had changed.")
        self.errors = Counter("longtask_reconcile_errors", "Steps that failed and are repeated.")
        self.reconcile_seconds = Histogram("longtask_reconcile_duration_seconds", "Time of one step.")
        self.queue_length = Gauge("longtask_queue_length", "Tasks and templates that wait for a step.")
        self.refused = Counter("longtask_task_api_refused", "Refused calls of the task API, by reason.", ["reason"])
        self.report_writes = Counter("longtask_report_writes", "Status writes of what the work of tasks told.")
        self.reports_dropped = Counter(
            "longtask_reports_dropped", "Reports that were not stored: something newer was, or the task had changed."
        )
        self.deliveries = Counter("longtask_deliveries", "Events written into agents' sessions.", ["template"])
        self.delivery_seconds = Histogram(
            "longtask_delivery_delay_seconds",
            "From the end of a task until its session knows.",
            ["template"],
            buckets=LONG_BUCKETS,
        )
        self.delivery_failures = Counter(
            "longtask_delivery_failures", "Failed attempts to tell a session, by reason.", ["reason"]
        )
        self.archived = Counter("longtask_archived", "Records written to the archive.")
        self.archive_failures = Counter(
            "longtask_archive_failures", "Failed attempts to archive a record, by reason.", ["reason"]
        )
        self.notifications = Counter("longtask_notifications", "Events that a sink accepted.", ["sink", "event"])
        self.notification_seconds = Histogram(
            "longtask_notification_delay_seconds",
            "From an event until a sink has accepted it.",
            ["sink"],
            buckets=LONG_BUCKETS,
        )
        self.notification_failures = Counter(
            "longtask_notification_failures", "Failed attempts to notify a sink, by reason.", ["sink", "reason"]
        )
        self.notifications_given_up = Counter(
            "longtask_notifications_given_up", "Events that a sink never accepted.", ["sink", "reason"]
        )
        self.notifications_pending = Gauge(
            "longtask_notifications_pending", "Tasks with an event that a sink misses.", ["sink"]
        )
        self.watchdog = Watchdog(REGISTRY)
        skew = Gauge("longtask_clock_skew_seconds", "How far this machine's clock is ahead of the API server's.")
        skew.set_function(lambda: CLOCK.skew)
        self.watch_age = Gauge(
            "longtask_watch_age_seconds",
            "Since the API server was last heard of about a kind of object; 20 s where nothing changes.",
            ["resource"],
        )
        self.leader = Gauge("longtask_leader", "1 on the replica that decides.")
        self.lease_losses = Counter("longtask_lease_losses", "Times that this replica had to stop leading.")

    def look_at(self, tasks: Mapping[tuple[str, str], int], templates: Callable[[], Container[str]]) -> None:
        """Set the sources: `tasks` is a live count of tasks by (phase, reason), `templates` returns the names of the
        templates that exist.
        """
        self._tasks, self._templates = tasks, templates

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Export the number of tasks by phase and reason."""
        family = GaugeMetricFamily("longtask_tasks", "Tasks, by phase and reason.", labels=["phase", "reason"])
        for labels, number in self._tasks.items():
            family.add_metric(labels, number)
        yield family

    def ended(self, task: LongTask, status: LongTaskStatus) -> None:
        """Count a task that has just ended, and observe its queued time and duration."""
        template = self._template(task)
        reason = status.failure.reason if status.failure else "Completed"
        self.tasks_ended.labels(template, str(status.phase), reason).inc()
        if status.start_time and status.completion_time:
            seconds = (status.completion_time - status.start_time).total_seconds()
            self.task_seconds.labels(template).observe(seconds)
        if status.start_time and task.metadata.creation_timestamp:
            queued = (status.start_time - task.metadata.creation_timestamp).total_seconds()
            self.queue_seconds.labels(template).observe(max(0.0, queued))

    def delivered(self, task: LongTask, now: datetime) -> None:
        """Count a delivered event. If the task has ended, observe the delay since its end."""
        template = self._template(task)
        self.deliveries.labels(template).inc()
        if task.status.completion_time is not None:
            delay = (now - task.status.completion_time).total_seconds()
            self.delivery_seconds.labels(template).observe(max(0.0, delay))

    def notified(self, sink: str, kind: str, delay: timedelta) -> None:
        """Count an event that a sink accepted, and observe the delay since it happened."""
        self.notifications.labels(sink, kind).inc()
        self.notification_seconds.labels(sink).observe(max(0.0, delay.total_seconds()))

    def _template(self, task: LongTask) -> str:
        name = task.spec.template_ref.name
        return name if name in self._templates() else OTHER


METRICS = Metrics()
