"""Block YAML: exactly what was written is read, by PyYAML as by any reader."""

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtask.yaml_reader import read_documents
from longtask.yaml_text import yaml_text

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""

HARD_TEXT = st.text(
    alphabet=st.sampled_from("\n\r\t -:#'\"|>ab\x85\xa0\u2028\ufeff\ufffe\0\x7f%&*!{}[],?@`~01e.+_<=ü🦆")
)
WORDS = st.sampled_from(
    ["yes", "No", "NULL", "~", "1e3", "0x1f", "1_0", "12:30", "2026-01-01", "=", "<<", ".inf", "---"]
)
TEXT = st.text() | HARD_TEXT | WORDS
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


@UNHURRIED
@given(st.dictionaries(TEXT, VALUES, min_size=1))
def test_yaml_gives_back_what_was_written(document: dict[str, Any]) -> None:
    text = yaml_text(document)
    assert yaml.safe_load(text) == document
    assert [each.plain() for each in read_documents(text)] == [document]
    assert yaml.safe_load(text.encode()) == document


def test_text_of_several_lines_is_written_as_lines() -> None:
    assert yaml_text({"a": [{"b": "one: 1\n\n  two #"}]}) == "a:\n  - b: |-\n      one: 1\n\n        two #\n"


@pytest.mark.parametrize(
    "word", ["y", "N", "on", "Off", "yes", "no", "null", "~", "True", "1e3", "0x1f", "12:30", ".inf"]
)
def test_what_a_reader_of_any_yaml_takes_for_something_else_is_quoted(word: str) -> None:
    """PyYAML reads y and n as text; what kubectl is made of reads them as booleans."""
    assert yaml_text({word: word}) == f'"{word}": "{word}"\n'


def test_plain_text_stays_plain() -> None:
    assert yaml_text({"kind": "Größe", "at": "model training"}) == 'kind: "Größe"\nat: model training\n'


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="is no number of JSON"):
        yaml_text({"a": number})
