"""Settings from environment variables (LONGTASK_MCP_*), validated when the process starts."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AnyHttpUrl, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from longtask_api import constants
from longtask_api.agentcore_ids import MemoryId
from longtask_mcp.oauth.issuer import HttpsUrl, Issuer
from longtask_runtime.tls import ServerCertificate

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
MIN_KEY = 32


class Settings(BaseSettings):
    """Raises pydantic.ValidationError that names each invalid setting."""

    model_config = SettingsConfigDict(env_prefix="LONGTASK_MCP_", frozen=True)

    namespace: Annotated[
        str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="The namespace of templates and tasks.")
    ]
    host: Annotated[str, Field(description="The IP address to listen on.")] = "0.0.0.0"
    port: Annotated[int, Field(ge=1, le=65535, description="Port of the MCP endpoint, /mcp.")] = 8080
    metrics_port: Annotated[int, Field(ge=1, le=65535, description="Port of /healthz, /readyz and /metrics.")] = 8081
    auth: Annotated[
        Literal["kubernetes", "none"],
        Field(description="kubernetes: bearer tokens, checked by TokenReview. none: no authentication; loopback only."),
    ] = "kubernetes"
    audience: Annotated[str, Field(min_length=1, description="Required audience of callers' tokens.")] = (
        constants.AUDIENCE_MCP
    )
    jwt_issuers: Annotated[
        tuple[Issuer, ...],
        Field(description="Issuers outside the cluster whose tokens are accepted too; needs public_url."),
    ] = ()
    public_url: Annotated[
        HttpsUrl | None,
        Field(description="URL of /mcp as its clients write it: the resource that tokens of issuers are asked for."),
    ] = None
    tls_folder: Annotated[
        Path | None,
        Field(description="Folder with tls.crt and tls.key, for HTTPS; reread when they change. Without it, HTTP."),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...],
        Field(
            description="Accepted Host headers, `name` or `name:*`, and hosts of web pages (Origin) that may call. If "
            "empty, any Host is accepted, as every caller has a token, but only web pages from this machine."
        ),
    ] = ()
    trusted_principals: Annotated[
        tuple[str, ...],
        Field(description="Principals whose X-LongTask-* headers are trusted to name an actor, session and memory."),
    ] = ()
    memory_ids: Annotated[
        tuple[MemoryId, ...], Field(description="The only memories that results may be delivered to.")
    ] = ()
    default_memory_id: Annotated[
        MemoryId | None, Field(description="The memory that is used if the caller names none; one of memory_ids.")
    ] = None
    task_api_url: Annotated[
        AnyHttpUrl | None,
        Field(
            description="URL of the operator's task API: live logs, large results, artifacts, archived tasks. Without "
            "it only log tails are available."
        ),
    ] = None
    task_api_token_file: Annotated[
        Path, Field(description="The projected token for the task API; reread when kubelet renews it.")
    ] = Path("/var/run/secrets/longtask.dev/task-api/token")
    lease_namespace: Annotated[
        str | None,
        Field(
            description="Namespace of the operator's Lease. Without it, answers cannot warn that no operator is "
            "leading."
        ),
    ] = None
    lease_name: Annotated[str, Field(min_length=1, description="Name of that Lease.")] = "longtask-operator"
    resume_keys_file: Annotated[
        Path | None,
        Field(
            description="Keys by which a replica resumes calls of one that was killed: at least 32 characters each, "
            "separated by white space. The first seals, all open. Without the file, no call is resumed."
        ),
    ] = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    max_request_bytes: Annotated[
        int, Field(ge=128 * 1024, description="Size limit of a request body in bytes; larger ones get 413 unread.")
    ] = 512 * 1024
    max_active_tasks_per_caller: Annotated[int, Field(ge=1, description="Limit of unfinished tasks per caller.")] = 500
    drain_seconds: Annotated[
        float,
        Field(ge=0, description="How long a stopping server still accepts calls while it is not ready, in seconds."),
    ] = 5.0
    stop_timeout_seconds: Annotated[
        float, Field(ge=1, description="How long calls and starts in flight may take after that, in seconds.")
    ] = 15.0

    @model_validator(mode="after")
    def _only_loopback_without_tokens(self) -> Self:
        if self.auth == "none" and not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(
                f"auth 'none' lets everybody in, so host must be a loopback address such as 127.0.0.1, not {self.host}"
            )
        return self

    @field_validator("tls_folder")
    @classmethod
    def _folder_has_a_certificate(cls, folder: Path | None) -> Path | None:
        if folder is not None:
            ServerCertificate(folder)
        return folder

    @model_validator(mode="after")
    def _issuers_are_apart(self) -> Self:
        if self.jwt_issuers and self.auth == "none":
            raise ValueError("auth 'none' asks nobody for a token, so jwt_issuers has no effect; leave one of them out")
        if self.jwt_issuers and self.public_url is None:
            raise ValueError("jwt_issuers needs public_url: callers without a token are told to get one for that URL")
        for name, values in (
            ("issuer", [each.issuer for each in self.jwt_issuers]),
            ("prefix", [each.prefix for each in self.jwt_issuers]),
        ):
            if twice := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"jwt_issuers has the {name} {twice[0]!r} twice; give each entry its own")
        return self

    @model_validator(mode="after")
    def _default_is_listed(self) -> Self:
        if self.default_memory_id is not None and self.default_memory_id not in self.memory_ids:
            raise ValueError(f"default_memory_id {self.default_memory_id} is not in memory_ids; add it there")
        return self

    @property
    def resume_keys(self) -> list[str]:
        """The keys in `resume_keys_file`; none if there is no such file."""
        if self.resume_keys_file is None or not self.resume_keys_file.exists():
            return []
        return list(dict.fromkeys(self.resume_keys_file.read_text().split()))

    @model_validator(mode="after")
    def _keys_are_long(self) -> Self:
        for number, key in enumerate(self.resume_keys, 1):
            if len(key) < MIN_KEY:
                raise ValueError(
                    f"{self.resume_keys_file}: key {number} has {len(key)} characters, and {MIN_KEY} are needed; "
                    "`openssl rand -hex 32` makes one"
                )
        return self

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.port == self.metrics_port:
            raise ValueError(f"port and metrics_port are both {self.port}")
        return self
