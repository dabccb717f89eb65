"""Scalars, arrays and columns of numpy, pandas, polars, torch and similar libraries, recognized by their attributes."""

import re
from datetime import date, time, timedelta
from typing import Any, Final

from longtask.json_types.scalars import span_text

_SPAN: Final = re.compile(r"m8\[(\d*)([a-zA-Z]+)\]$")
_ATTOSECONDS: Final = {
    **{unit: number * 10**18 for unit, number in {"W": 604800, "D": 86400, "h": 3600, "m": 60, "s": 1}.items()},
    **{unit: 10 ** (15 - 3 * n) for n, unit in enumerate(("ms", "us", "ns", "ps", "fs", "as"))},
}
_MISSING_SPAN: Final = -(2**63)
"""numpy's internal value of NaT."""


class NaTType:
    """A missing time or duration; has the name of pandas' own class."""


class Unlisted(Exception):
    """A value without a JSON form; the message continues after the value's path."""


def listed(value: Any) -> Any:
    """A value with a dtype as a Python scalar, a list, or a dict if it has names; its parts may have a dtype again.

    Raises Unlisted for what would lose information, and what the library raises.
    """
    kind, size = getattr(value.dtype, "kind", ""), getattr(value.dtype, "itemsize", 0)
    if hasattr(value, "iloc"):
        return _column(value)
    if getattr(value.dtype, "names", None):
        return list(value) if value.ndim else _record(value)
    if kind == "M":
        return _moments(value.astype("U").tolist())
    if kind == "m":
        return _spans(value.astype("int64").tolist(), _unit(value.dtype))
    if (kind == "f" and size > 8) or kind == "V":
        return list(value) if value.ndim else _number(value)
    if kind == "c" and size > 16:  # tolist would return it unchanged, without end
        raise Unlisted("is complex, which has no JSON form: return its real and imag")
    found = getattr(value, "tolist", None) or getattr(value, "to_list", None)
    if not callable(found):
        raise Unlisted(
            f"is a {type(value).__qualname__}, which has no JSON form: return a list or a dict of its values"
        )
    return found()


def _column(series: Any) -> Any:
    """A pandas Series: a list if its labels are 0, 1, 2, ..., else a dict."""
    index = series.index
    if type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1):
        return series.tolist()
    labels = index.tolist()
    if all(map(_is_name, labels)) and len(set(labels)) == len(labels):
        return dict(zip(labels, series.tolist(), strict=True))
    raise Unlisted(
        "is a Series whose labels are numbers or the like, or stand twice, and JSON has no other keys: "
        "return .tolist(), or a dict of what its labels say"
    )


def _is_name(label: Any) -> bool:
    """Whether a label can be a key: text, or a type that is a string in JSON."""
    return isinstance(label, (str, date, time, timedelta)) or hasattr(label, "freqstr")


def _record(value: Any) -> dict[str, Any]:
    return {name: value[name] for name in value.dtype.names}


def _unit(dtype: Any) -> int:
    """The unit of a timedelta64, in attoseconds."""
    found = _SPAN.search(dtype.str)
    if found is None or found[2] not in _ATTOSECONDS:
        raise Unlisted("is a span of months, years or no unit, and nobody knows how long that is: return a number")
    count: int = int(found[1] or 1) * _ATTOSECONDS[found[2]]
    return count


def _moments(texts: Any) -> Any:
    if isinstance(texts, list):
        return [_moments(each) for each in texts]
    return NaTType() if texts == "NaT" else texts


def _spans(numbers: Any, unit: int) -> Any:
    if isinstance(numbers, list):
        return [_spans(each, unit) for each in numbers]
    if numbers is None:  # masked
        return None
    return NaTType() if numbers == _MISSING_SPAN else span_text(numbers * unit)


def _number(value: Any) -> float:
    """A float of another width than Python's. Raises Unlisted if Python's cannot hold it."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise Unlisted(f"is a {type(value).__qualname__}, which has no JSON form: keep it with ctx.artifact") from None
    if found != value and value == value:  # NaN differs from itself
        raise Unlisted(f"is {value}, and a number of JSON has 53 bits: return float() of it, or str()")
    return found
