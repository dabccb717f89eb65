"""The reader of YAML takes and refuses what PyYAML does, wherever a file is broken, and knows the line."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from longtask.yaml_reader import BadYaml, read_documents

FILE = """\
# Of the vision team
kind: LongTaskTemplate  # one
metadata: {name: "a-b", labels: {team: vision, "on": 'it''s'}}
spec:
  title: Some plain text
    that goes on
  description: |-
    Trains: a model.

      - indented

    # no comment
  folded: >
    one
    line

    other
  parametersSchema:
    type: object
    required:
    - name
    - day

    properties:
      name: {type: string, enum: [a, b c,
        "d"]}
      "n": {}
      rate:
        default: 0.25
        minimum: -3
        maximum:
  containers:
    - name: main
      command: [python, "-m", 'x:y']
      env: &env
        - {name: HOME, value: "/tmp\\n\\u00e9"}
        -
          name: B
      args: []
    - - nested
      - *env
---
kind: Other
"""


class Loader(yaml.SafeLoader):
    """PyYAML as kubectl reads: a key stands once in a mapping, and dates are text."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = True) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(set(map(str, keys))) < len(keys):
            raise yaml.YAMLError("a key stands twice")
        return super().construct_mapping(node, deep=True)


def test_a_file_is_read_as_pyyaml_reads_it() -> None:
    assert read(FILE) == list(yaml.load_all(FILE, Loader))


@pytest.mark.parametrize("change", ["no character", "no line", "a line deeper", "a line less deep", "a space"])
def test_a_file_that_was_changed_anywhere_is_read_or_refused_as_by_pyyaml(change: str) -> None:
    others = [text for text in changed(change) if read(text) != read_by_pyyaml(text)]
    assert others == []


def changed(change: str) -> Iterator[str]:
    lines = FILE.splitlines(keepends=True)
    if change in ("no character", "a space"):
        new = "" if change == "no character" else " "
        yield from (FILE[:at] + new + FILE[at + 1 :] for at in range(0, len(FILE), 3))
        return
    for number, line in enumerate(lines):
        now = {"no line": "", "a line deeper": f"  {line}", "a line less deep": line[1:]}[change]
        yield "".join([*lines[:number], now, *lines[number + 1 :]])


def read(text: str) -> Any:
    try:
        return [each.plain() for each in read_documents(text)]
    except BadYaml:
        return "broken"


def read_by_pyyaml(text: str) -> Any:
    try:
        return list(yaml.load_all(text, Loader))
    except (yaml.YAMLError, TypeError):
        return "broken"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: [1,\n  2\n", 2, "[ is not closed by ]"),
        ("a: 1\nb: {c: 1\n", 2, "{ is not closed by }"),
        ("a: 1\n\n# x\na: 2\n", 4, "the key a stands here for the second time"),
        ("a: 'b\nc: d\n", 1, "the text that begins with 'b has no closing quote"),
        ("a:\n\tb: 1\n", 2, "a tab: YAML is indented with spaces"),
        ("a: 1\n   b: 2\n", 2, "a key stands where a value is"),
        ("a: {}\n   b: 2\n", 2, "b: 2 does not belong to what stands above it: look at its indentation"),
        ("a: 1\nb\n", 2, "a key and a colon are missing: b"),
        ("a: @b\n", 1, "no value can begin with @b: quote the text"),
        ('a: "\\q"\n', 1, "\\q means nothing in double quotes"),
        ("a: 1\n--- b: 2\n", 2, "--- stands on a line of its own"),
        ("a: *b\n", 1, "no anchor &b stands above *b"),
        ("---\na: 1\n---\nb: ]\n", 4, "no value can begin with ]"),
        ("a: {b: 1,\n  b: 2}\n", 2, "the key b stands here for the second time"),
        ("a: {[b]: 1}\n", 1, "a key is a text"),
        ("a: {b: 1\n  c: 2}\n", 2, "a comma or } is missing before :"),
        ('a: "\\U00110000"\n', 1, "\\U00110000 is no character"),
        ("a: |x\n  b\n", 1, "behind | or > stand only + or - and a number"),
        ("[" * 200, 1, "nested deeper than 100 levels"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(200)), 101, "nested deeper than 100 levels"),
    ],
)
def test_what_is_broken_is_told_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(BadYaml) as told:
        read_documents(text)
    assert (told.value.line, str(told.value)[: len(problem)]) == (line, problem)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("0x1f", 31),
        ("-0b11", -3),
        ("010", 8),
        ("1e3", 1000.0),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("1.2.3", "1.2.3"),
        ("|+\n  x\n", "x\n\n"),
        ("{b: &c [1], d: !!seq *c}", {"b": [1], "d": [1]}),
        ("|2-\n    x\n   y\n", "  x\n y"),
        ("{b, c: , d}", {"b": None, "c": None, "d": None}),
        ("[b\n  c, d]", ["b c", "d"]),
    ],
)
def test_a_value_is_what_kubectl_takes_it_for(text: str, value: Any) -> None:
    (root,) = read_documents(f"a: {text}\n")
    assert root.plain() == {"a": value}


def test_every_value_knows_where_it_stands() -> None:
    text = "a:\n  b: [1, 'two']\n  c: x y  # z\n"
    (root,) = read_documents(text)
    inside = root.value["a"]
    assert [text[each.start : each.end] for each in inside.value["b"].value] == ["1", "'two'"]
    assert text[inside.value["c"].start : inside.value["c"].end] == "x y"
    assert text[inside.keys["c"] :].startswith("c: x y")
