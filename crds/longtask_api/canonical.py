"""Values as JSON storage keeps them, and digests by which the parameters of two starts are compared. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest_of(parameters: Mapping[str, Any]) -> str:
    """Digest of the parameters of a start. Raises ValueError as `canonical` does."""
    return hashlib.sha256(canonical(parameters).encode()).hexdigest()[:32]


def canonical(value: Any) -> str:
    """JSON text that is equal for values that JSON storage makes equal: 1.0 and 1, 2^63 and its float.

    Raises ValueError for what JSON storage cannot hold: NaN, infinities, numbers beyond a float, lone surrogates,
    hundreds of levels.
    """
    try:
        text = json.dumps(_stored(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (OverflowError, RecursionError) as error:
        raise ValueError("a number is too large or the nesting is too deep") from error
    return text


def _stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stored(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_stored(child) for child in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)
    return value
