"""All settings of the operator, from LONGTASK_OPERATOR_* variables; each appears in the chart's values."""

import socket
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Checked at start; a wrong one ends the process with a sentence that names it."""

    model_config = SettingsConfigDict(env_prefix="LONGTASK_OPERATOR_", frozen=True)

    namespace: str = Field(min_length=1, description="The task namespace: templates, tasks, Jobs and pods live there.")
    pod_name: str = Field(default_factory=socket.gethostname, description="This replica's name in the Lease.")
    lease_namespace: str = Field(min_length=1, description="Namespace of the Lease: the operator's own.")
    lease_name: str = Field(default="longtask-operator", description="Name of the Lease.")
    lease_duration_seconds: int = Field(
        default=15, ge=3, le=300, description="How long after a crash a standby takes over, in seconds."
    )
    health_port: int = Field(default=8081, description="Port of /healthz, /readyz and /metrics.")
    task_api_port: int = Field(default=8082, description="Port of the task API.")
    task_api_readers: list[str] = Field(
        default=[], description="User names that may read any task's log: the MCP server's service account."
    )
    job_retention_seconds: int = Field(
        default=3600, ge=0, description="How long the Job and pods of a finished task are kept, in seconds."
    )
    resync_seconds: int = Field(
        default=600, ge=10, description="How often everything is listed anew, to repair what a watch missed."
    )
    workers: int = Field(default=8, ge=1, le=64, description="Tasks that are worked on at the same time.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
