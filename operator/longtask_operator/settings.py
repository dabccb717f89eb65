"""All settings of the operator, from LONGTASK_OPERATOR_* variables; the chart's values contain each of them."""

import socket
from pathlib import Path
from typing import Literal, Self

from pydantic import AnyHttpUrl, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from longtask_api.agentcore_ids import MemoryId
from longtask_api.longtask import SinkName
from longtask_operator.sinks import Sink


class Settings(BaseSettings):
    """Validated at start; an invalid setting ends the process with a message that names it."""

    model_config = SettingsConfigDict(env_prefix="LONGTASK_OPERATOR_", frozen=True)

    namespace: str = Field(min_length=1, description="The task namespace, which holds templates, tasks, Jobs and pods.")
    pod_name: str = Field(default_factory=socket.gethostname, description="This replica's name in the Lease.")
    lease_namespace: str = Field(min_length=1, description="Namespace of the Lease: the operator's own.")
    lease_name: str = Field(default="longtask-operator", description="Name of the Lease.")
    lease_duration_seconds: int = Field(
        default=15, ge=3, le=300, description="Time after which a standby takes over from a crashed leader, in seconds."
    )
    health_port: int = Field(default=8081, description="Port of /healthz, /readyz and /metrics.")
    task_api_port: int = Field(default=8082, description="Port of the task API.")
    task_api_readers: list[str] = Field(
        default=[], description="User names that may read any task's log: the MCP server's service account."
    )
    task_api_url: AnyHttpUrl | None = Field(
        default=None, description="Where pods reach the task API; without it they cannot report."
    )
    report_interval_seconds: float = Field(
        default=5,
        gt=0,
        le=3600,
        description="Minimum time between two status writes for a task's progress, in seconds.",
    )
    report_writes_per_second: float = Field(
        default=50,
        gt=0,
        description="Status writes per second for progress, over all tasks; with more tasks each gets fewer.",
    )
    reports_per_second_per_task: float = Field(
        default=10, gt=0, description="Task API calls per second that one task may make; further calls get 429."
    )
    store_max_bytes: int = Field(
        default=2**30,
        gt=0,
        le=64 * 2**30,
        description="Size limit of a result, checkpoint or artifact, in bytes; without S3 at most 900 KiB.",
    )
    store_s3_bucket: str | None = Field(
        default=None, min_length=1, description="Bucket for data that is too large for a ConfigMap."
    )
    store_s3_prefix: str = Field(
        default="longtask",
        max_length=200,
        pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
        description="Prefix of the keys in the bucket.",
    )
    store_s3_region: str | None = Field(default=None, description="Region of the bucket.")
    store_s3_endpoint_url: str | None = Field(default=None, description="Endpoint of an S3-compatible service.")
    store_s3_path_style: bool = Field(
        default=False, description="Put the bucket name into the URL path instead of the host name."
    )
    memory_region: str | None = Field(
        default=None,
        min_length=1,
        description="AWS region of the agents' memories; without it nothing is delivered to sessions.",
    )
    memory_ids: list[MemoryId] = Field(
        default=[], max_length=100, description="The only memories, by id or ARN, that are read and written."
    )
    sinks: dict[SinkName, Sink] = Field(
        default={}, max_length=32, description="Webhook sinks by name; templates name those that are notified."
    )
    sink_secrets_folder: Path = Field(
        default=Path("/etc/longtask/sinks"), description="Folder with a sub-folder for the Secret of each sink."
    )
    open_turn_timeout_seconds: int = Field(
        default=30,
        ge=0,
        le=3600,
        description="How long delivery waits for the agent's open turn to finish, in seconds.",
    )
    delivery_timeout_seconds: int = Field(
        default=7 * 86400,
        ge=0,
        description="How long a finished task and its Job are kept, regardless of their time to live, until the "
        "result is delivered to the agent's session, the record is archived and the sinks are notified, in seconds.",
    )
    job_retention_seconds: int = Field(
        default=3600, ge=0, description="How long the Job and pods of a finished task are kept, in seconds."
    )
    resync_seconds: int = Field(
        default=600, ge=10, description="Interval of a full relist, which repairs missed watch events, in seconds."
    )
    max_active_tasks_per_requester: int = Field(
        default=2000, ge=1, description="Limit of active tasks per requester; further tasks are queued."
    )
    workers: int = Field(default=24, ge=1, le=64, description="Number of tasks that are reconciled concurrently.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _a_bucket_has_a_region(self) -> Self:
        if self.store_s3_bucket is not None and self.store_s3_region is None:
            raise ValueError("store_s3_bucket is set, so store_s3_region must be too: there is no default region")
        return self

    @model_validator(mode="after")
    def _memories_have_a_region(self) -> Self:
        if self.memory_ids and self.memory_region is None:
            raise ValueError("memory_ids are set, so memory_region must be too: there is no default region")
        return self
