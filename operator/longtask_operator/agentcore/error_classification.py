"""Classifies AgentCore errors as transient, fixable by an administrator, or permanent. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from http import HTTPStatus

from longtask_api.longtask import REFUSED
from longtask_operator.agentcore.models import ServiceError


class Retryability(Enum):
    """Whether a retry can succeed."""

    TRANSIENT = "transient"
    """It can, without intervention."""
    FIXABLE = "fixable"
    """It can once an administrator has fixed the cause."""
    FINAL = "final"
    """It cannot: the call itself is invalid."""


@dataclass(frozen=True)
class Classification:
    """`reason` is the reason of a condition; `message` says what to do."""

    kind: Retryability
    reason: str
    message: str


THROTTLED = frozenset(
    {
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
CREDENTIALS = frozenset(
    {
        "CredentialRetrievalError",
        "ExpiredToken",
        "ExpiredTokenException",
        "IDPRejectedClaim",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "UnrecognizedClientException",
        "ValidationError",
    }
)
"""Some have status 400, and some come from STS, such as ValidationError for an invalid role name."""
ROLE = "sts:AssumeRole"
"""Appears in an error's text when the operator's role is refused, not the call itself."""
WRONG_CALLS = frozenset(
    {
        "InvalidInputException",
        "ParamValidationError",
        "RecordFailed",
        "SerializationException",
        "ValidationException",
    }
)
CONFIGURATION = frozenset({"MemoryNotAllowed", "MemoryNotConfigured"})
PASSING = frozenset({HTTPStatus.CONFLICT, HTTPStatus.REQUEST_TIMEOUT})


def classify(error: ServiceError) -> Classification:
    """Classify an error.

    429, 5xx, conflicts and broken connections are transient; 402, 403, 404 and credentials need an administrator. Only
    what the service, or botocore, calls an invalid call is final: any other 4xx may come from a proxy in between.
    """
    code, status, text = error.code, error.status, f"{error.code}: {error}"
    if code in CONFIGURATION:
        return Classification(Retryability.FIXABLE, code, str(error))
    if code in CREDENTIALS or ROLE in text:
        advice = "the operator's AWS credentials are missing, wrong or expired: look at operator.serviceAccount"
        return Classification(
            Retryability.FIXABLE, "NoCredentials", f"{text}; {advice} and operator.extraEnv in the chart's values"
        )
    if code in THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS:
        return Classification(Retryability.TRANSIENT, "Throttled", text)
    if code in WRONG_CALLS and (status is None or status == HTTPStatus.BAD_REQUEST):
        return Classification(Retryability.FINAL, REFUSED, text)
    if status is None or code == "IDPCommunicationError":
        return Classification(Retryability.TRANSIENT, "Unreachable", text)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING:
        return Classification(Retryability.TRANSIENT, "ServiceError", text)
    if status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED):
        advice = "the operator's role needs bedrock-agentcore:CreateEvent, ListEvents, ListSessions and"
        return Classification(
            Retryability.FIXABLE, "AccessDenied", f"{text}; {advice} BatchCreateMemoryRecords on the memory"
        )
    if status == HTTPStatus.NOT_FOUND:
        advice = "there is no such memory in memory.region of the chart's values, or it was deleted"
        return Classification(Retryability.FIXABLE, "MemoryNotFound", f"{text}; {advice}")
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return Classification(Retryability.FIXABLE, "QuotaExceeded", f"{text}; ask AWS for a higher quota")
    advice = f"status {status} is no answer of AgentCore Memory that is known: look at memory.region and"
    return Classification(
        Retryability.FIXABLE, "UnexpectedAnswer", f"{text}; {advice} memory.endpointURL, and at proxies between"
    )


_DELAYS = {
    Retryability.TRANSIENT: (timedelta(seconds=1), timedelta(minutes=5)),
    Retryability.FIXABLE: (timedelta(seconds=10), timedelta(minutes=10)),
}
"""First and longest delay; the delay doubles in between."""


def backoff(kind: Retryability, failures: int) -> timedelta:
    """Delay before the next retry, after `failures` (1 or more) consecutive failures. Not for FINAL."""
    first, longest = _DELAYS[kind]
    doublings = min(failures - 1, 20)
    return min(longest, first * (1 << doublings))
