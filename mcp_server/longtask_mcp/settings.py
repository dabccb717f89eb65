"""Everything that can be set, from the environment (LONGTASK_MCP_*), checked when the process starts."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AnyHttpUrl, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from longtask_api import constants
from longtask_api.agentcore_ids import MemoryId

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Settings(BaseSettings):
    """Raises pydantic.ValidationError that names each setting that does not fit."""

    model_config = SettingsConfigDict(env_prefix="LONGTASK_MCP_", frozen=True)

    namespace: Annotated[
        str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="The namespace of templates and tasks.")
    ]
    host: Annotated[str, Field(description="The IP address to listen on.")] = "0.0.0.0"
    port: Annotated[int, Field(ge=1, le=65535, description="Port of the MCP endpoint, /mcp.")] = 8080
    metrics_port: Annotated[int, Field(ge=1, le=65535, description="Port of /healthz, /readyz and /metrics.")] = 8081
    auth: Annotated[
        Literal["kubernetes", "none"],
        Field(description="kubernetes: bearer tokens, by TokenReview. none: everybody is one caller; loopback only."),
    ] = "kubernetes"
    audience: Annotated[str, Field(min_length=1, description="The audience that a caller's token must be for.")] = (
        constants.AUDIENCE_MCP
    )
    allowed_hosts: Annotated[
        tuple[str, ...],
        Field(
            description="Host headers to accept, `name` or `name:*`, and the hosts of web pages (Origin) that may "
            "call. When empty, any Host, as every caller has a token, and of web pages those of this machine alone."
        ),
    ] = ()
    trusted_principals: Annotated[
        tuple[str, ...],
        Field(description="Identities that may say in headers for which actor they speak, and in which session."),
    ] = ()
    memory_ids: Annotated[
        tuple[MemoryId, ...], Field(description="The memories that may be told how tasks ended; no other ever is.")
    ] = ()
    default_memory_id: Annotated[
        MemoryId | None, Field(description="The one of them that is told where the caller names none.")
    ] = None
    task_api_url: Annotated[
        AnyHttpUrl | None,
        Field(
            description="The operator's task API: live logs, large results, artifacts, archived tasks. Without it: "
            "the kept log."
        ),
    ] = None
    task_api_token_file: Annotated[
        Path, Field(description="The projected token for the task API; read again when it is renewed.")
    ] = Path("/var/run/secrets/longtask.dev/task-api/token")
    lease_namespace: Annotated[
        str | None,
        Field(
            description="Where the operator's Lease is, which says whether one leads. Without it, no answer says "
            "that none does."
        ),
    ] = None
    lease_name: Annotated[str, Field(min_length=1, description="The name of that Lease.")] = "longtask-operator"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    max_request_bytes: Annotated[
        int, Field(ge=128 * 1024, description="The largest request body; larger ones get 413 unread.")
    ] = 512 * 1024
    max_active_tasks_per_caller: Annotated[
        int, Field(ge=1, description="Tasks that one caller may have that have not ended.")
    ] = 500
    drain_seconds: Annotated[
        float, Field(ge=0, description="How long a stopping server still accepts calls, while it is not ready.")
    ] = 5.0
    stop_timeout_seconds: Annotated[
        float, Field(ge=1, description="How long calls and starts in flight may take to end after that.")
    ] = 15.0

    @model_validator(mode="after")
    def _only_loopback_without_tokens(self) -> Self:
        if self.auth == "none" and not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(
                f"auth 'none' lets everybody in, so host must be a loopback address such as 127.0.0.1, not {self.host}"
            )
        return self

    @model_validator(mode="after")
    def _default_is_listed(self) -> Self:
        if self.default_memory_id is not None and self.default_memory_id not in self.memory_ids:
            raise ValueError(f"default_memory_id {self.default_memory_id} is not in memory_ids; add it there")
        return self

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.port == self.metrics_port:
            raise ValueError(f"port and metrics_port are both {self.port}")
        return self
