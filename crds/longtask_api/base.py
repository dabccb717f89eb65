"""Common base of the API models: camelCase in JSON, immutable in Python, RFC 3339 times."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel


def rfc3339(moment: datetime) -> str:
    """Format as metav1.Time: UTC, whole seconds, `2026-01-31T12:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, PlainSerializer(rfc3339, when_used="json")]


def rfc3339_milliseconds(moment: datetime) -> str:
    """Like `rfc3339`, with milliseconds: `2026-01-31T12:00:00.250Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


MilliTime = Annotated[datetime, PlainSerializer(rfc3339_milliseconds, when_used="json")]


def rfc3339_microseconds(moment: datetime) -> str:
    """Format as metav1.MicroTime: UTC, microseconds, `2026-01-31T12:00:00.250000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class ApiModel(BaseModel):
    """A part of an object as the API server stores it.

    Unknown fields are dropped on reading, so never replace a stored object with the output of `to_api`.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True, frozen=True
    )

    def to_api(self) -> dict[str, Any]:
        """The JSON object for the API server, without fields that are None."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def from_api(cls, document: Any) -> Self:
        """Parse a decoded JSON object. Raises pydantic.ValidationError if it does not fit the model."""
        return cls.model_validate(document)


class ObjectMeta(ApiModel):
    """The fields of metav1.ObjectMeta that LongTask reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
