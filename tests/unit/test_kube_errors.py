"""What is made of a refusal, whoever has answered."""

import pytest

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
