"""The reader of YAML takes for values what kubectl does, tells what is broken by its line, and knows every place."""

from typing import Any

import pytest

from longtask.yaml_reader import BadYaml, read_documents


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("y", "Y", "yes", "On", "TRUE", "!!bool 'yes'")),
        *((word, False) for word in ("n", "No", "off", "false")),
        *((word, None) for word in ("", "~", "null", "NULL")),
        *((word, 15) for word in ("15", "+15", "1_5", "0xf", "0b1111", "0o17", "017", "!!int '15'")),
        *((word, -0.5) for word in ("-.5", "-5e-1", "-0.5", "-05E-1")),
        *((word, 1000.0) for word in ("1e3", "1000.", "1_000.0")),
        *((word, word) for word in ("oN", "12:30", "2026-01-31", "2026-01-31T18:30:00Z", "=", "+", "0x", "_1")),
        *((f"{tag} 1", "1") for tag in ("!", "!!str", "!of-somebody")),
        ("'1'", "1"),
        ("1.2.3", "1.2.3"),
        ("{b: &c [1], d: *c}", {"b": [1], "d": [1]}),
        ("{b, c: , d}", {"b": None, "c": None, "d": None}),
        ("[b\n  c, d]", ["b c", "d"]),
    ],
)
def test_a_value_is_what_kubectl_reads(text: str, value: Any) -> None:
    (document,) = read_documents(f"a: {text}\nb: [{text}]\n")
    assert document.plain() == {"a": value, "b": [] if text == "" else [value]}
    assert type(document.plain()["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("|+\n  x\n\n", "x\n\n"),
        ("|2-\n    x\n   y\n", "  x\n y"),
        (">\n  x\n  y\n\n  z\n", "x y\nz\n"),
    ],
)
def test_a_text_of_several_lines_is_what_kubectl_reads(text: str, value: str) -> None:
    (document,) = read_documents(f"a: {text}")
    assert document.plain() == {"a": value}


@pytest.mark.parametrize(
    ("text", "key"),
    [("on", "true"), ("n", "false"), ("'n'", "n"), ("0x10", "16"), ("1.50", "1.5"), ("2026-01-31", "2026-01-31")],
)
def test_a_key_is_what_kubectl_reads(text: str, key: str) -> None:
    assert [each.plain() for each in read_documents(f"{text}: 1\n---\n{{{text}: 1}}\n")] == [{key: 1}] * 2


def test_an_alias_is_what_stands_under_its_anchor_in_its_document() -> None:
    first, second = read_documents("a: &x {b: 1}\nc: [*x]\n---\nb: &x 2\nc: *x\n")
    assert (first.plain(), second.plain()) == ({"a": {"b": 1}, "c": [{"b": 1}]}, {"b": 2, "c": 2})


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: [1,\n  2\n", 2, "expected ',' or ']', but got '<stream end>' while parsing a flow sequence"),
        ("a: 1\nb: {c: 1\n", 2, "expected ',' or '}', but got '<stream end>' while parsing a flow mapping"),
        (
            "a: 1\nb: [1\nc: 2\n",
            3,
            "expected ',' or ']', but got ':' while parsing a flow sequence that begins in line 2",
        ),
        ("a: 1\n\n# x\na: 2\n", 4, "the key a stands here for the second time"),
        ("{a: 1,\n 'a': 2}\n", 2, "the key a stands here for the second time"),
        ("n: 1\nno: 2\n", 2, "the key false stands here for the second time"),
        ("a: 1\n? [b]\n: c\n", 2, "a key is a text: quote it"),
        ("a: 1\n~: 2\n", 2, "a key is a text: quote it"),
        ("a: 'b\nc: d\n", 1, "found unexpected end of stream while scanning a quoted scalar"),
        ("a:\n\tb: 1\n", 2, "found character '\\t' that cannot start any token"),
        ("a: 1\n   b: 2\n", 2, "mapping values are not allowed here"),
        ("a: {}\n   b: 2\n", 2, "expected <block end>, but found '<block mapping start>'"),
        ("a: 1\nb\n", 2, "could not find expected ':'"),
        ("a: @b\n", 1, "found character '@' that cannot start any token"),
        ('a: "\\q"\n', 1, "found unknown escape character 'q'"),
        ('a: 1\nb: "\\U00110000"\n', 2, "an escape in double quotes is no character"),
        ('a: 1\nb: "\\UFFFFFFFF"\n', 2, "an escape in double quotes is no character"),
        ("a: 1\nb: \x07\n", 2, "the character U+0007 cannot stand in YAML: escape it in double quotes"),
        ("a: 1\nb: !!int x\n", 2, "x is no int"),
        ("a: 1\nb: !!int\n", 2, " is no int"),
        ("a: 1\nb: !!bool x\n", 2, "x is no bool"),
        ("a: 1\n--- b: 2\n", 2, "mapping values are not allowed here"),
        ("a: *b\n", 1, "no anchor &b stands above *b"),
        ("a: &b 1\n---\na: *b\n", 3, "no anchor &b stands above *b"),
        ("a: &b [*b]\n", 1, "no anchor &b stands above *b"),
        ("---\na: 1\n---\nb: ]\n", 4, "expected the node content, but found ']'"),
        ("a: {[b]: 1}\n", 1, "a key is a text: quote it"),
        (
            "a: {b: 1\n  c: 2}\n",
            2,
            "expected ',' or '}', but got ':' while parsing a flow mapping that begins in line 1",
        ),
        ("a: |x\n  b\n", 1, "expected chomping or indentation indicators, but found 'x'"),
        ("[" * 200, 1, "nested deeper than 100 levels"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(200)), 101, "nested deeper than 100 levels"),
    ],
)
def test_what_is_broken_is_told_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(BadYaml) as told:
        read_documents(text)
    assert (told.value.line, str(told.value)[: len(problem)]) == (line, problem)


def test_every_value_knows_where_it_stands() -> None:
    text = "a:\n  b: [1, 'two']\n  c: x y  # z\n"
    (root,) = read_documents(text)
    inside = root.value["a"]
    assert [text[each.start : each.end] for each in inside.value["b"].value] == ["1", "'two'"]
    assert text[inside.value["c"].start : inside.value["c"].end] == "x y"
    assert text[inside.keys["c"] :].startswith("c: x y")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a: |\n  x\n\n\n# b\nb: 1\n", "|\n  x"),
        ("a: >+\n  x\n\n", ">+\n  x"),
        ("a:\n  b: x  # y\n\n  # z\nc: 1\n", "b: x"),
        ("a:\n- x\n-\n\n# z\nc: 1\n", "- x\n-"),
        ("a: &x !!map\n  # y\n  b: 1\nc: 1\n", "b: 1"),
        ("a: &x [1,\n 2]  # y\n", "[1,\n 2]"),
        ("a: &x !y 'z'\n", "'z'"),
        ("a: x\n  y  # z\n", "x\n  y"),
        ("a:  # y\nb: &x 1\n", ""),
        ("b: &x 1\na: *x  # y\n", "*x"),
    ],
)
def test_a_value_stands_from_its_first_to_its_last_character(text: str, shown: str) -> None:
    (root,) = read_documents(text)
    found = root.value["a"]
    assert text[found.start : found.end] == shown
