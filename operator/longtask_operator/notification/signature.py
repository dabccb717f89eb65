"""The headers of Standard Webhooks 1.0.0, with symmetric signatures (HMAC-SHA256). Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

PREFIX: Final = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
"""Length of a secret (Standard Webhooks, "Signature scheme")."""
MOST_SECRETS: Final = 4


class InvalidSecret(Exception):
    """The text holds no signing secrets. The message has no part of it."""


def secrets_in(text: str) -> list[bytes]:
    """The signing secrets of a text, separated by white space, each `whsec_` and Base64. Raises InvalidSecret."""
    words = text.split()
    if not 1 <= len(words) <= MOST_SECRETS:
        raise InvalidSecret(f"has {len(words)} secrets; one is needed, and {MOST_SECRETS} are allowed")
    return [_secret(word, number) for number, word in enumerate(words, 1)]


def headers(event_id: str, timestamp: int, body: bytes, secrets: Sequence[bytes]) -> Mapping[str, str]:
    """The headers of one attempt at `timestamp` (Unix time), with a signature by each secret; without secrets there is
    no signature. `body` are the bytes that are sent.
    """
    named = {"webhook-id": event_id, "webhook-timestamp": str(timestamp)}
    if not secrets:
        return named
    signed = b".".join((event_id.encode(), str(timestamp).encode(), body))
    digests = [hmac.digest(secret, signed, hashlib.sha256) for secret in secrets]
    return named | {"webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode()}" for each in digests)}


def _secret(word: str, number: int) -> bytes:
    encoded = word.removeprefix(PREFIX)
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not word.startswith(PREFIX) or not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        raise InvalidSecret(f"secret {number} is not {PREFIX} and {LEAST_BYTES} to {MOST_BYTES} bytes in Base64")
    return secret
