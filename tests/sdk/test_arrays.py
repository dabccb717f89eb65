"""What numpy, pandas and polars give as results: the real ones, in an environment that has them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-arrays" / "bin" / "python"
PROGRAM = """
import datetime, json, sys
import ml_dtypes, numpy as np, pandas as pd, polars as pl
from longtask.encode import Unencodable, encode

def outcome(expression):
    try:
        return json.loads(encode(eval(expression)))
    except Unencodable as refused:
        return f"refused: {refused}"

print(json.dumps({expression: outcome(expression) for expression in json.load(sys.stdin)}))
"""
RECORDS = "np.array([(1, 2.5), (2, 3.5)], dtype=[('a', 'i4'), ('b', 'f8')])"
GIVEN: dict[str, Any] = {
    "np.float64(0.5)": 0.5,
    "np.float32(0.5)": 0.5,
    "np.float16(0.5)": 0.5,
    "np.int64(3)": 3,
    "np.bool_(True)": True,
    "np.str_('NaT')": "NaT",
    "np.array(3)": 3,
    "np.array([['NaT']])": [["NaT"]],
    "np.array([1, None, 'x', datetime.date(2026, 1, 31)], dtype=object)": [1, None, "x", "2026-01-31"],
    "np.datetime64('2026-01-31')": "2026-01-31",
    "np.datetime64('2026-01-31T18:30', 'ns')": "2026-01-31T18:30:00.000000000",
    "np.array([['2026-01-31']], dtype='M8[s]')": [["2026-01-31T00:00:00"]],
    "np.timedelta64(90, 'm')": "PT5400S",
    "np.timedelta64(-1, 'ns')": "-PT0.000000001S",
    "np.timedelta64(1, 'as')": "PT0.000000000000000001S",
    "np.array([[1, 2]], dtype='m8[25s]')": [["PT25S", "PT50S"]],
    RECORDS: [{"a": 1, "b": 2.5}, {"a": 2, "b": 3.5}],
    f"{RECORDS}[0]": {"a": 1, "b": 2.5},
    f"np.rec.array({RECORDS})[1]": {"a": 2, "b": 3.5},
    "np.array([[(np.datetime64('2026-01-31'),)]], dtype=[('t', 'M8[D]')])": [[{"t": "2026-01-31"}]],
    "np.longdouble(0.5)": 0.5,
    "np.array([0.5, 0.25], dtype=np.longdouble)": [0.5, 0.25],
    "np.array([0.5], dtype=ml_dtypes.bfloat16)": [0.5],
    "np.ma.masked_array([1, 2], mask=[0, 1])": [1, None],
    "np.ma.masked_array(np.array([1, 2], dtype='m8[s]'), mask=[0, 1])": ["PT1S", None],
    "np.ma.masked_array(np.array(['2026-01-31', '2026-02-01'], dtype='M8[D]'), mask=[0, 1])": ["2026-01-31", None],
    "{np.str_('a'): np.ma.masked}": {"a": None},
    "pd.Series([1, 2, 3])": [1, 2, 3],
    "pd.Series([1, 2], index=['a', 'b'])": {"a": 1, "b": 2},
    "pd.Series(['x', 'x', 'y']).value_counts()": {"x": 2, "y": 1},
    "pd.Series([1, 2], index=pd.to_datetime(['2026-01-31', '2026-02-01']))": {
        "2026-01-31T00:00:00": 1,
        "2026-02-01T00:00:00": 2,
    },
    "pd.Series([1], index=pd.to_datetime(['2026-01-31']).tz_localize('Europe/Berlin'))": {
        "2026-01-31T00:00:00+01:00": 1
    },
    "pd.Series([1], index=pd.PeriodIndex(['2026-01'], freq='M'))": {"2026-01": 1},
    "pd.Series([1], index=pd.to_timedelta(['90m']))": {"PT5400S": 1},
    "pd.Series([1], index=[datetime.date(2026, 1, 31)])": {"2026-01-31": 1},
    "pd.Series(pd.PeriodIndex(['2026-01', '2026-02'], freq='M'))": ["2026-01", "2026-02"],
    "pd.Period('2026-01-31', 'W')": "2026-01-26/2026-02-01",
    "pd.DataFrame({'a': [1]}, index=pd.to_datetime(['2026-01-31'])).to_dict()": {"a": {"2026-01-31T00:00:00": 1}},
    "{np.datetime64('2026-01-31'): 1}": {"2026-01-31": 1},
    "pd.Series(pd.to_datetime(['2026-01-31']))": ["2026-01-31T00:00:00"],
    "pd.Series(['a', 'b'], dtype='category')": ["a", "b"],
    "pd.Categorical(['a', 'b', 'a'])": ["a", "b", "a"],
    "pd.Index([1, 2])": [1, 2],
    "pd.array([1, 2])": [1, 2],
    "pd.Timestamp('2026-01-31T18:30:00.000000001Z')": "2026-01-31T18:30:00.000000001+00:00",
    "pd.Timedelta('1 day 2h')": "P1DT7200S",
    "pd.Timedelta('-1ns')": "-PT0.000000001S",
    "pd.to_timedelta(['1s', '1ns'])": ["PT1S", "PT0.000000001S"],
    "pl.Series([1, None, 3])": [1, None, 3],
    "pl.Series([{'a': datetime.date(2026, 1, 31)}])": [{"a": "2026-01-31"}],
}
REFUSED = {
    "np.array([1, np.nan])": "result[1] is NaN: ",
    "np.datetime64('NaT')": "result is NaT, a value that is missing: return None",
    "np.array(['2026-01-31', 'NaT'], dtype='M8[ns]')": "result[1] is NaT, ",
    "{'a': np.array([1, 'NaT'], dtype='m8[s]')}": "result.a[1] is NaT, ",
    "np.timedelta64(3, 'M')": "result is a span of months, years or no unit, ",
    "np.timedelta64(3)": "result is a span of months, years or no unit, ",
    "np.longdouble(1) / 3": "result is 0.333",
    "np.array([1, np.inf], dtype=np.longdouble)": "result[1] is infinity: ",
    "np.clongdouble(1j)": "result is complex, ",
    "np.array([1j])": "result[0] is a complex, ",
    "np.bytes_(b'x')": "result is bytes, ",
    "np.array([b'x'])": "result[0] is bytes, ",
    "np.void(b'abc')": "result is a void, ",
    "np.uint64(2**63)": "result is beyond 2^53: ",
    "{np.int64(1): 1}": "result has the key np.int64(1), ",
    "np.float64": "result is a type, ",
    "pd.NaT": "result is NaT, ",
    "pd.NA": "result is NA, ",
    "pd.array([1, None])": "result[1] is NA, ",
    "pd.Series([pd.NaT], index=['when'])": "result.when is NaT, ",
    "pd.Series([1, 2], index=['a', 'a'])": "result is a Series whose labels are numbers or the like, or stand twice, ",
    "pd.Series([1, 2, 3])[1:]": "result is a Series whose labels are numbers or the like, or stand twice, ",
    "pd.DataFrame({'a': [1]})": "result is a DataFrame, which has no JSON form: return its to_dict(...)",
    "pd.Period('2026Q1')": "result is a Period, ",
    "pd.Series([1], index=pd.PeriodIndex(['2026Q1'], freq='Q'))": "result has the key Period('2026Q1', 'Q-DEC'), ",
    "pl.DataFrame({'a': [1]})": "result is a DataFrame, ",
    "pl.Series([float('nan')])": "result[0] is NaN: ",
}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    """What becomes of each value."""
    assert PYTHON.exists(), "run: make .venv-arrays/ready"
    ran = subprocess.run(
        [str(PYTHON), "-W", "error", "-c", PROGRAM],
        input=json.dumps([*GIVEN, *REFUSED]),
        env=os.environ | {"PYTHONPATH": str(ROOT / "sdk")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(("expression", "expected"), GIVEN.items(), ids=list(GIVEN))
def test_a_value_of_a_library_is_what_it_was(outcomes: dict[str, Any], expression: str, expected: Any) -> None:
    assert outcomes[expression] == expected


@pytest.mark.parametrize(("expression", "starts"), REFUSED.items(), ids=list(REFUSED))
def test_a_value_that_json_would_change_is_refused(outcomes: dict[str, Any], expression: str, starts: str) -> None:
    assert str(outcomes[expression]).startswith(f"refused: {starts}")
