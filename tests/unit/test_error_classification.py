"""What an error of the service means: it passes, an administrator mends it, or it stays so."""

from datetime import timedelta

import pytest

from longtask_operator.agentcore.error_classification import Retryability, backoff, classify
from longtask_operator.agentcore.models import ServiceError

ERRORS = [
    ("ThrottledException", 429, Retryability.TRANSIENT, "Throttled"),
    ("ThrottlingException", 400, Retryability.TRANSIENT, "Throttled"),
    ("ServiceException", 500, Retryability.TRANSIENT, "ServiceError"),
    ("503", 503, Retryability.TRANSIENT, "ServiceError"),
    ("RetryableConflictException", 409, Retryability.TRANSIENT, "ServiceError"),
    ("ReadTimeoutError", None, Retryability.TRANSIENT, "Unreachable"),
    ("ConnectTimeoutError", None, Retryability.TRANSIENT, "Unreachable"),
    ("EndpointConnectionError", None, Retryability.TRANSIENT, "Unreachable"),
    ("ConnectionClosedError", None, Retryability.TRANSIENT, "Unreachable"),
    ("AccessDeniedException", 403, Retryability.FIXABLE, "AccessDenied"),
    ("ResourceNotFoundException", 404, Retryability.FIXABLE, "MemoryNotFound"),
    ("ServiceQuotaExceededException", 402, Retryability.FIXABLE, "QuotaExceeded"),
    ("NoCredentialsError", None, Retryability.FIXABLE, "NoCredentials"),
    ("ExpiredTokenException", 400, Retryability.FIXABLE, "NoCredentials"),
    ("UnrecognizedClientException", 403, Retryability.FIXABLE, "NoCredentials"),
    ("MemoryNotConfigured", None, Retryability.FIXABLE, "MemoryNotConfigured"),
    ("413", 413, Retryability.FIXABLE, "UnexpectedAnswer"),
    ("ValidationException", 400, Retryability.FINAL, "Refused"),
    ("InvalidInputException", 400, Retryability.FINAL, "Refused"),
    ("ParamValidationError", None, Retryability.FINAL, "Refused"),
]


@pytest.mark.parametrize(("code", "status", "kind", "reason"), ERRORS)
def test_what_an_error_means(code: str, status: int | None, kind: Retryability, reason: str) -> None:
    found = classify(ServiceError(code, status, "what the service says"))

    assert (found.kind, found.reason) == (kind, reason)
    assert "what the service says" in found.message


def test_a_role_that_cannot_be_assumed_is_no_wrong_right_on_the_memory() -> None:
    error = ServiceError("AccessDenied", 403, "not authorized to perform: sts:AssumeRoleWithWebIdentity")

    assert classify(error).reason == "NoCredentials"


@pytest.mark.parametrize(
    ("kind", "failures", "seconds"),
    [
        (Retryability.TRANSIENT, 1, 1),
        (Retryability.TRANSIENT, 4, 8),
        (Retryability.TRANSIENT, 10, 300),
        (Retryability.TRANSIENT, 10**6, 300),
        (Retryability.FIXABLE, 1, 10),
        (Retryability.FIXABLE, 3, 40),
        (Retryability.FIXABLE, 50, 600),
    ],
)
def test_the_wait_doubles_up_to_its_longest(kind: Retryability, failures: int, seconds: int) -> None:
    assert backoff(kind, failures) == timedelta(seconds=seconds)
