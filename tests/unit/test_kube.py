"""What is sent to the API server, and what is made of a refusal, whoever has answered."""

from typing import Any

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from longtask_runtime import kube


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (b'{"reason": "Conflict", "message": "it was changed"}', "Conflict", "it was changed"),
        (b"{}", "Unknown", "no message"),
        (b'"bad gateway"', "Unknown", '"bad gateway"'),
        (b"null", "Unknown", "null"),
        (b"[]", "Unknown", "[]"),
        (b'{"message": ["x"]}', "Unknown", "['x']"),
        (b"<html>502", "Unknown", "<html>502"),
    ],
)
def test_a_refusal_is_one_whatever_its_body(body: bytes, reason: str, message: str) -> None:
    error = kube._error(502, body)
    assert (error.status, error.reason, error.message) == (502, reason, message)


async def test_a_request_has_its_query_and_the_token_of_this_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Any, ...]] = []
    tokens = iter(["first", "second"])

    async def refresh(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = f"Bearer {next(tokens)}"

    async def send(*given: Any, _request_timeout: float) -> None:
        sent.append((*given, _request_timeout))
        raise TimeoutError

    client = ApiClient(Configuration(host="https://10.0.0.1"))
    client.user_agent = "longtask-test"
    client.configuration.refresh_api_key_hook = refresh
    monkeypatch.setattr(client.rest_client, "request", send)
    query = {"labelSelector": "a in (b,c),d=e+f", "continue": "a/b=="}
    with pytest.raises(TimeoutError):
        await kube.request(client, "GET", "/api/v1/pods", query=query, timeout=7)
    with pytest.raises(TimeoutError):
        await kube.request(client, "PATCH", "/x", body={"a": 1}, content_type=kube.APPLY_PATCH)
    head = {"User-Agent": "longtask-test", "Accept": "application/json", "Accept-Encoding": "identity"}
    first = head | {"Content-Type": "application/json", "Authorization": "Bearer first"}
    second = head | {"Content-Type": kube.APPLY_PATCH, "Authorization": "Bearer second"}
    url = "https://10.0.0.1/api/v1/pods?labelSelector=a+in+%28b%2Cc%29%2Cd%3De%2Bf&continue=a%2Fb%3D%3D"
    assert sent == [
        ("GET", url, first, None, 7),
        ("PATCH", "https://10.0.0.1/x", second, '{"a": 1}', kube.REQUEST_TIMEOUT),
    ]


async def test_without_a_token_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    headers: list[dict[str, str]] = []

    async def send(verb: str, url: str, given: dict[str, str], *_: object, **__: object) -> None:
        headers.append(given)
        raise TimeoutError

    client = ApiClient(Configuration())
    monkeypatch.setattr(client.rest_client, "request", send)
    with pytest.raises(TimeoutError):
        await kube.request(client, "GET", "/")
    assert "Authorization" not in headers[0]
