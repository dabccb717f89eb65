"""What an error of the service means: it passes, an administrator mends it, or it stays so."""

from datetime import timedelta

import pytest

from longtask_operator.agentcore.terms import ServiceError
from longtask_operator.agentcore.verdicts import Kind, backoff, verdict

ERRORS = [
    ("ThrottledException", 429, Kind.TRANSIENT, "Throttled"),
    ("ThrottlingException", 400, Kind.TRANSIENT, "Throttled"),
    ("ServiceException", 500, Kind.TRANSIENT, "ServiceError"),
    ("503", 503, Kind.TRANSIENT, "ServiceError"),
    ("RetryableConflictException", 409, Kind.TRANSIENT, "ServiceError"),
    ("ReadTimeoutError", None, Kind.TRANSIENT, "Unreachable"),
    ("ConnectTimeoutError", None, Kind.TRANSIENT, "Unreachable"),
    ("EndpointConnectionError", None, Kind.TRANSIENT, "Unreachable"),
    ("ConnectionClosedError", None, Kind.TRANSIENT, "Unreachable"),
    ("AccessDeniedException", 403, Kind.FIXABLE, "AccessDenied"),
    ("ResourceNotFoundException", 404, Kind.FIXABLE, "MemoryNotFound"),
    ("ServiceQuotaExceededException", 402, Kind.FIXABLE, "QuotaExceeded"),
    ("NoCredentialsError", None, Kind.FIXABLE, "NoCredentials"),
    ("ExpiredTokenException", 400, Kind.FIXABLE, "NoCredentials"),
    ("UnrecognizedClientException", 403, Kind.FIXABLE, "NoCredentials"),
    ("MemoryNotConfigured", None, Kind.FIXABLE, "MemoryNotConfigured"),
    ("413", 413, Kind.FIXABLE, "UnexpectedAnswer"),
    ("ValidationException", 400, Kind.FINAL, "Refused"),
    ("InvalidInputException", 400, Kind.FINAL, "Refused"),
    ("ParamValidationError", None, Kind.FINAL, "Refused"),
]


@pytest.mark.parametrize(("code", "status", "kind", "reason"), ERRORS)
def test_what_an_error_means(code: str, status: int | None, kind: Kind, reason: str) -> None:
    found = verdict(ServiceError(code, status, "what the service says"))

    assert (found.kind, found.reason) == (kind, reason)
    assert "what the service says" in found.message


def test_a_role_that_cannot_be_assumed_is_no_wrong_right_on_the_memory() -> None:
    error = ServiceError("AccessDenied", 403, "not authorized to perform: sts:AssumeRoleWithWebIdentity")

    assert verdict(error).reason == "NoCredentials"


@pytest.mark.parametrize(
    ("kind", "failures", "seconds"),
    [
        (Kind.TRANSIENT, 1, 1),
        (Kind.TRANSIENT, 4, 8),
        (Kind.TRANSIENT, 10, 300),
        (Kind.TRANSIENT, 10**6, 300),
        (Kind.FIXABLE, 1, 10),
        (Kind.FIXABLE, 3, 40),
        (Kind.FIXABLE, 50, 600),
    ],
)
def test_the_wait_doubles_up_to_its_longest(kind: Kind, failures: int, seconds: int) -> None:
    assert backoff(kind, failures) == timedelta(seconds=seconds)
