"""`longtask template`: from a function to a LongTaskTemplate, and whether a file still fits."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import longtask
from longtask.template import MAX_DESCRIPTION, MAX_NAME, MAX_RETRIES, MAX_TITLE, SCHEMA_HASH, TEXT_HASH, main
from longtask_api import constants
from longtask_api.parameters import check_schema
from longtask_api.template import LongTaskTemplate, LongTaskTemplateSpec, RetryPolicy

NUMBERS = itertools.count()

CODE = '''
from datetime import date

import longtask

print("noise")


@longtask.task
def model_training(ctx, name: str, day: date = date(2026, 1, 31), epochs: int = 10) -> dict[str, float]:
    """Trains a model: größer is better.

    Use it when asked.

    Args:
        name: What to call it.
    """
    return {}


@longtask.task
def _hidden(name: str) -> None:
    """Has no name for a template."""


@longtask.task(name="sum-up", title="Sum it up", description="Adds.")
def add(a: int) -> int:
    return a


@longtask.task
def undocumented(a: int) -> int:
    return a


@longtask.task(description="x" * 4097)
def wordy(a: int) -> int:
    return a


@longtask.task(title="x" * 101)
def entitled(a: int) -> int:
    """Adds."""
    return a


@longtask.task
def strange(ctx, epochs: int) -> int:
    """Trains.

    Args:
        ctx: The context.
        epoch: How often.
        x.y: Of it.

    :param int seed: Of the dice.
    """
    return epochs


class Model:
    @longtask.task
    def train(self, epochs: int) -> int:
        """Trains."""


@longtask.task
def late(epochs: int, ctx) -> int:
    """Trains."""


@longtask.task
def later(epochs: int, *, context: longtask.Context) -> int:
    """Trains."""


@longtask.task
def unreadable(a) -> int:
    """Adds."""
    return a
'''

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a new module in the current directory."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    name = f"work_{next(NUMBERS)}"
    Path(f"{name}.py").write_text(CODE, encoding="utf-8")
    return name


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command; exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(list(arguments))
        except SystemExit as error:
            code = int(str(error.code))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_function_becomes_a_template(module: str, run: Run) -> None:
    code, text, errors = run(f"{module}:model_training", "--image", "registry/train:1")
    document = yaml.safe_load(text)
    assert (code, errors) == (0, "noise\n")
    assert document["metadata"].pop("annotations").keys() == {SCHEMA_HASH, TEXT_HASH}
    assert document == {
        "apiVersion": "longtask.dev/v1alpha1",
        "kind": "LongTaskTemplate",
        "metadata": {"name": "model-training"},
        "spec": {
            "title": "Model Training",
            "description": "Trains a model: größer is better.\n\nUse it when asked.",
            "parametersSchema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "description": "What to call it."},
                    "day": {"type": "string", "format": "date", "default": "2026-01-31"},
                    "epochs": {"type": "integer", "default": 10},
                },
                "required": ["name"],
                "additionalProperties": False,
            },
            "resultSchema": {"type": "object", "additionalProperties": {"type": "number"}},
            "retry": {"limit": 0},
            "podTemplate": {
                "spec": {
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 30,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "main",
                            "image": "registry/train:1",
                            "command": ["python", "-m", "longtask", "run", f"{module}:model_training"],
                            "env": [{"name": "HOME", "value": "/tmp"}],
                            "resources": {
                                "requests": {"cpu": "500m", "memory": "512Mi"},
                                "limits": {"cpu": "500m", "memory": "512Mi"},
                            },
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                }
            },
        },
    }
    template = LongTaskTemplate.model_validate(document)
    assert check_schema(template.spec.parameters_schema) == []


def test_the_first_line_is_the_command_that_made_it(module: str, run: Run) -> None:
    arguments = [f"{module}:model_training", "--image", "a b", "--retries", "2"]
    _, text, _ = run(*arguments, "--cpu=500m")
    command = f"longtask template {module}:model_training --image 'a b' --cpu 500m --retries 2"
    assert text.splitlines()[0] == f"# Made by `{command}`"


def test_options_go_into_the_template(module: str, run: Run) -> None:
    _, text, _ = run(
        *(f"{module}:model_training", "--image", "x", "--name", "other", "--python", "/opt/bin/python"),
        *("--cpu", "2", "--memory", "4Gi", "--retries", "3", "--deadline", "7200"),
    )
    document = yaml.safe_load(text)
    (container,) = document["spec"]["podTemplate"]["spec"]["containers"]
    assert document["metadata"]["name"] == "other"
    assert document["spec"]["retry"] == {"limit": 3}
    assert document["spec"]["activeDeadlineSeconds"] == 7200
    assert container["command"][0] == "/opt/bin/python"
    assert container["resources"]["requests"] == container["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}


def test_the_decorators_name_title_and_description_count(module: str, run: Run) -> None:
    _, text, _ = run(f"{module}:add", "--image", "x")
    document = yaml.safe_load(text)
    spec = document["spec"]
    assert (document["metadata"]["name"], spec["title"], spec["description"]) == ("sum-up", "Sum it up", "Adds.")


def test_a_function_without_a_result_has_no_result_schema(module: str, run: Run) -> None:
    _, text, _ = run(f"{module}:_hidden", "--image", "x", "--name", "hidden")
    assert "resultSchema" not in yaml.safe_load(text)["spec"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{m}:model_training"], "--image is missing: name the image that has the function"),
        (["{m}:model_training", "--image", "x", "--retries", "101"], "'101' is no whole number from 0 to 100"),
        (["{m}:model_training", "--image", "x", "--deadline", "0"], "'0' is no whole number from 1 to 1000000000"),
        (["{m}:_hidden", "--image", "x"], "'-hidden' is no name of a template: it has at most 40 of a-z, 0-9 and '-'"),
        (["{m}:add", "--image", "x", "--name", "a" * 41], "is no name of a template: it has at most 40 of a-z"),
        (["{m}:add", "--image", "x", "--name", "a-"], "'a-' is no name of a template"),
        (["{m}:undocumented", "--image", "x"], "undocumented has no docstring: say in it what the work does"),
        (["{m}:wordy", "--image", "x"], "wordy has 4097 characters, 4096 are allowed: shorten it"),
        (["{m}:entitled", "--image", "x"], "the title of {m}:entitled has 101 characters, 100 are allowed: shorten it"),
        (["{m}:unreadable", "--image", "x"], "{m}.unreadable: a: it has no annotation; write its type, as in `a: str`"),
        (["{m}:add", "--image", "x", "--cpu", "abc"], "--cpu: 'abc' is no quantity of CPU: write cores, such as 2"),
        (["{m}:add", "--image", "x", "--cpu", "0"], "'0' is no quantity of CPU"),
        (["{m}:add", "--image", "x", "--cpu", "0.0001"], "'0.0001' is no quantity of CPU"),
        (["{m}:add", "--image", "x", "--cpu", "500Mi"], "'500Mi' is no quantity of CPU"),
        (
            ["{m}:add", "--image", "x", "--memory", "1GB"],
            "--memory: '1GB' is no quantity of memory: write a number with",
        ),
        (["{m}:add", "--image", "x", "--memory", "512m"], "'512m' is no quantity of memory"),
        (["{m}:add", "--update", "x.yaml", "--memory", "1 Gi"], "'1 Gi' is no quantity of memory"),
        (["{m}:add", "--check", "nothing.yaml"], "No such file or directory: 'nothing.yaml'"),
        (["{m}:missing", "--image", "x"], "{m} has no missing: name one of its functions"),
        (
            ["no_such_module:f", "--image", "x"],
            "no_such_module cannot be imported (ModuleNotFoundError: No module named",
        ),
        (
            ["no_such_module:f", "--image", "x"],
            "No module named 'no_such_module'): run this in the folder that has it, which /",
        ),
        (
            ["broken:f", "--image", "x"],
            "broken cannot be imported (ModuleNotFoundError: No module named 'absent'): install what it imports",
        ),
        (["leaving:f", "--image", "x"], "leaving cannot be imported (SystemExit: bye): it ends the process while"),
        (["parsing:f", "--image", "x"], "parsing cannot be imported (SystemExit: 2): it ends the process while it is "),
        (
            ["parsing:f", "--image", "x"],
            "as argparse does at the top of a module; put what only a program does below `if",
        ),
        (["failing:f", "--image", "x"], "failing cannot be imported (ZeroDivisionError: division by zero in /"),
        (["failing:f", "--image", "x"], "failing.py:2): its own code fails while it is imported; correct that first"),
        (["syntax:f", "--image", "x"], "syntax cannot be imported (SyntaxError: '(' was never closed in /"),
        (["syntax:f", "--image", "x"], "/syntax.py:2): its own code fails while it is imported; correct that first"),
        (["encoded:f", "--image", "x"], "): its own code fails while it is imported; correct that first"),
        (["refused:f", "--image", "x"], "return it, and tell what is done so far with ctx.progress(current, total))\n"),
        (
            ["{m}:strange", "--image", "x"],
            "the docstring of {m}:strange describes epoch, x.y, seed, and no parameter is called so: correct",
        ),
        (["{m}:Model.train", "--image", "x"], "train: self: a method cannot be a task, for nobody makes its object"),
        (
            ["{m}:late", "--image", "x"],
            "{m}.late: ctx: the context comes first: write (ctx, ...), and the others after",
        ),
        (["{m}:later", "--image", "x"], "{m}.later: context: the context comes first: write (context, ...), and the "),
        (["add", "--image", "x"], "'add' names no function: write module:function, such as train:model_training"),
    ],
)
def test_what_cannot_become_a_template_is_told_in_a_sentence(
    module: str, run: Run, arguments: list[str], sentence: str
) -> None:
    Path("broken.py").write_text("import absent")
    Path("leaving.py").write_text("raise SystemExit('bye')")
    Path("parsing.py").write_text(
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--rate', required=True)\n"
        "parser.parse_args([])"
    )
    Path("syntax.py").write_text("rows = 0\nprint(")
    Path("encoded.py").write_bytes(b"name = 'gr\xfcn'")
    Path("failing.py").write_text("rows = 0\n1 / rows")
    Path("refused.py").write_text("import longtask\n@longtask.task\ndef f():\n    yield 1")
    code, text, errors = run(*(each.replace("{m}", module) for each in arguments))
    assert (code, text) == (2, "")
    assert sentence.replace("{m}", module) in errors
    assert "Traceback" not in errors
    assert "importlib" not in errors


@pytest.fixture
def written(module: str, run: Run) -> Path:
    """A file with the template of model_training."""
    _, text, _ = run(f"{module}:model_training", "--image", "x:1", "--retries", "2")
    path = Path("templates.yaml")
    path.write_text(text, encoding="utf-8")
    return path


def changed(module: str, old: str, new: str) -> str:
    """A module like it, with other code."""
    name = f"work_{next(NUMBERS)}"
    assert old in CODE
    Path(f"{name}.py").write_text(CODE.replace(old, new), encoding="utf-8")
    return name


def test_a_file_that_fits_passes_the_check(module: str, run: Run, written: Path) -> None:
    code, text, errors = run(f"{module}:model_training", "--check", str(written))
    assert (code, text, errors.replace("noise\n", "")) == (0, "", "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("limit: 2", "limit: 5", id="retries"),
        pytest.param("500m", "2", id="resources"),
        pytest.param('- "-m"\n', "- '-m'  # by module\n", id="quotes"),
        pytest.param("longtask.dev/text-hash:", '"longtask.dev/text-hash":', id="quoted-hash"),
        pytest.param("longtask.dev/schema-hash:", "'longtask.dev/schema-hash':", id="quoted-key"),
        pytest.param("name: model-training\n", "name: 'model-training'  # the tool\n", id="quoted-name"),
        pytest.param("  annotations:\n", "  annotations:\n    name: other\n", id="annotation-called-name"),
        pytest.param("\n", "\r\n", id="line-ends"),
    ],
)
def test_an_author_may_edit_the_rest(module: str, run: Run, written: Path, old: str, new: str) -> None:
    text = written.read_text(encoding="utf-8")
    assert old in text
    written.write_bytes(text.replace(old, new).encode())
    code, _, errors = run(f"{module}:model_training", "--check", str(written))
    assert code == 0, errors


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("epochs: int = 10", "epochs: int = 20", ["-        default: 10", "+        default: 20"]),
        ("Use it when asked", "Use it", ["-    Use it when asked.", "+    Use it."]),
        (
            "What to call it",
            "Its name",
            ["-        description: What to call it.", "+        description: Its name."],
        ),
        ("epochs: int", "rounds: int", ["-      epochs:", "+      rounds:"]),
        ("dict[str, float]", "dict[str, int]", ["-      type: number", "+      type: integer"]),
    ],
)
def test_a_file_that_has_drifted_is_told_with_the_difference_and_the_command(
    module: str, run: Run, written: Path, old: str, new: str, lines: list[str]
) -> None:
    other = changed(module, old, new)
    code, text, errors = run(f"{other}:model_training", "--check", str(written))
    assert (code, text) == (1, "")
    assert ("if a default was not edited, it is computed when the module is imported" in errors) == (
        old == "epochs: int = 10"
    )
    assert f"keeps the rest of the file: longtask template {other}:model_training --update templates.yaml\n" in errors
    assert [line for line in errors.splitlines() if line in lines] == lines


BY_HAND = [
    ("default: 10", "default: 20", "spec.parametersSchema.properties.epochs.default is 20, and 10 now"),
    ("default: 10", "default: ten", '.default is "ten", and 10 now'),
    ("default: 10", "default: true", ".default is true, and 10 now"),
    ("What to call it.", "A name.", '.name.description is "A name.", and "What to call it." now'),
    ("title: Model Training", "title: A title", 'spec.title is "A title", and "Model Training" now'),
    ("  type: number", "  type: string", 'spec.resultSchema.additionalProperties.type is "string", and "number" now'),
    ("    required:\n      - name\n", "", 'spec.parametersSchema.required is missing, and ["name"] now'),
    ("default: 10", "maximum: 5\n        default: 10", "properties.epochs.maximum is there, and not in the function"),
    ("TARGET", "work:other", "containers[0].command[4] runs work:other, and "),
    (
        '"-m"\n            - longtask\n            - run\n            - "TARGET"',
        "'longtask run a:f -v'",
        ".command[1] runs a:f, ",
    ),
    ("longtask.dev/v1alpha1", "longtask.dev/v1", 'apiVersion is "longtask.dev/v1", and "longtask.dev/v1alpha1" now'),
    ("schema-hash: ", "schema-hash: 0", "metadata.annotations[longtask.dev/schema-hash] is "),
]


@pytest.mark.parametrize(("old", "new", "says"), BY_HAND, ids=[each[2] for each in BY_HAND])
def test_what_was_edited_in_what_is_generated_is_found_in_its_place_and_written_anew(
    module: str, run: Run, written: Path, old: str, new: str, says: str
) -> None:
    text, old = written.read_text(encoding="utf-8"), old.replace("TARGET", f"{module}:model_training")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if old.partition("\n")[0] in line]
    head, found, tail = text.rpartition(old)
    assert found == old
    written.write_text(f"{head}{new}{tail}", encoding="utf-8")
    code, _, errors = run(f"{module}:model_training", "--check", str(written))
    assert code == 1
    assert [each.startswith(f"templates.yaml:{lines[-1]}: ") for each in errors.splitlines() if says in each] == [True]
    assert run(f"{module}:model_training", "--update", str(written))[0] == 0
    assert run(f"{module}:model_training", "--check", str(written))[0] == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "limit: 2",
            "limit: [2",
            "templates.yaml:37: expected ',' or ']', but got ':' while parsing a flow sequence that begins in line 36",
        ),
        ("  title:", " title:", "templates.yaml:11: mapping values are not allowed here; correct this first"),
        ("limit: 2", "limit: 2\n    limit: 3", "templates.yaml:37: the key limit stands here for the second time"),
        ("limit: 2", "limit: '2", "templates.yaml:36: found unexpected end of stream while scanning a quoted scalar"),
        ("retry:", "\tretry:", "templates.yaml:35: found character '\\t' that cannot start any token"),
        ("image: ", "image: a: ", "mapping values are not allowed here; correct this first"),
        (
            "longtask\n",
            "longtsk\n",
            ".command names {m}:model_training and does not run it: write [python, -m, ",
        ),
    ],
)
@pytest.mark.parametrize("option", ["--check", "--update"])
def test_a_broken_file_is_told_with_the_line_and_stays(
    module: str, run: Run, written: Path, option: str, old: str, new: str, says: str
) -> None:
    written.write_text(written.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    text = written.read_text(encoding="utf-8")
    code, out, errors = run(f"{module}:model_training", option, str(written))
    assert (code, out) == (1, "")
    assert says.replace("{m}", module) in errors
    assert "Traceback" not in errors
    assert written.read_text(encoding="utf-8") == text


def test_an_update_writes_the_options_that_are_given_and_says_so(module: str, run: Run, written: Path) -> None:
    text = written.read_text(encoding="utf-8").replace("limit: 2", "limit: 2  # it is flaky")
    written.write_text(text, encoding="utf-8")
    options = ["--image", "x:2", "--python", "py", "--cpu", "2", "--memory", "4Gi", "--retries", "0"]
    options += ["--deadline", "60"]
    assert run(f"{module}:model_training", "--check", str(written), *options)[0] == 1
    code, _, errors = run(f"{module}:model_training", "--update", str(written), *options)
    assert code == 0
    assert 'templates.yaml:49: spec.podTemplate.spec.containers[0].image is "x:1", and "x:2" now' in errors
    assert "templates.yaml:37: spec.activeDeadlineSeconds is missing, and 60 now" in errors
    assert errors.endswith("templates.yaml: is changed so\n")
    found = written.read_text(encoding="utf-8")
    _, fresh, _ = run(f"{module}:model_training", *options)
    assert found.splitlines()[1:] == fresh.replace("limit: 0", "limit: 0  # it is flaky").splitlines()[1:]
    assert run(f"{module}:model_training", "--check", str(written), *options)[0] == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("resources: {limits: &r {memory: 1Gi}, requests: *r}", "resources.requests stands elsewhere, under an anchor"),
        ("resources: {limits: 1Gi}", "resources.limits.memory is missing: write it by hand"),
    ],
)
def test_what_stands_elsewhere_or_is_something_else_is_left_to_a_hand(
    module: str, run: Run, text: str, says: str
) -> None:
    path = Path("hand.yaml")
    path.write_text(
        "kind: LongTaskTemplate\nmetadata:\n  name: sum-up\nspec:\n  podTemplate:\n    spec:\n      containers:\n"
        f"        - name: main\n          image: x:1\n          {text}\n"
    )
    code, _, errors = run(f"{module}:add", "--update", str(path), "--memory", "2Gi")
    assert code == 1
    assert f"hand.yaml:10: spec.podTemplate.spec.containers[0].{says}" in errors


def test_a_result_that_is_no_more_is_left_to_a_hand_in_braces(module: str, run: Run) -> None:
    Path("hand.yaml").write_text("{kind: LongTaskTemplate, metadata: {name: hidden}, spec: {resultSchema: {}}}\n")
    code, _, errors = run(f"{module}:_hidden", "--name", "hidden", "--check", "hand.yaml")
    assert code == 1
    assert "hand.yaml:1: spec.resultSchema is there, and not in the function: delete it by hand" in errors


def test_a_file_that_is_no_text_is_told_by_its_name(module: str, run: Run) -> None:
    Path("binary.yaml").write_bytes(b"\xff\xfe")
    code, _, errors = run(f"{module}:add", "--check", "binary.yaml")
    assert code == 1
    assert "binary.yaml: is no text in UTF-8 (" in errors


def test_an_option_that_has_no_place_in_the_file_is_refused_by_name(module: str, run: Run) -> None:
    path = Path("hand.yaml")
    path.write_text("kind: LongTaskTemplate\nmetadata: {name: sum-up}\nspec: {podTemplate: {}}\n")
    code, _, errors = run(f"{module}:add", "--update", str(path), "--image", "x:2")
    assert code == 1
    assert "hand.yaml:3: spec.podTemplate.spec is missing: write it by hand" in errors


def test_an_interpreter_is_written_only_where_one_runs_longtask(module: str, run: Run, written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    written.write_text(text.replace("- python\n", "- bash\n").replace('"-m"', '"-c"'), encoding="utf-8")
    code, _, errors = run(f"{module}:model_training", "--update", str(written), "--python", "py")
    assert code == 1
    assert "its command does not begin with [python, -m, longtask, run]: write --python by hand" in errors


def test_a_script_that_runs_the_function_is_edited_in_its_place(module: str, run: Run, written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    lines = "".join(f"            - {word}\n" for word in ("python", '"-m"', "longtask", "run", '"TARGET"'))
    lines = lines.replace("TARGET", f"{module}:model_training")
    assert lines in text
    script = "            - bash\n            - |\n              . .env\n              exec longtask run old:f -v\n"
    written.write_text(text.replace(lines, script), encoding="utf-8")
    assert run(f"{module}:model_training", "--update", str(written))[0] == 0
    now = script.replace("old:f", f"{module}:model_training")
    assert written.read_text(encoding="utf-8") == text.replace(lines, now)


def commanded(module: str, run: Run, **container: Any) -> Path:
    """A file whose container starts something else."""
    _, text, _ = run(f"{module}:model_training", "--image", "x:1")
    document = yaml.safe_load(text)
    main = document["spec"]["podTemplate"]["spec"]["containers"][0]
    del main["command"]
    words = json.loads(json.dumps(container).replace("TARGET", f"{module}:model_training"))
    main.update(words)
    path = Path("own.yaml")
    path.write_text(yaml.safe_dump(document, allow_unicode=True, width=1000), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "container",
    [
        {"command": ["my-launcher", "--task", "TARGET"]},
        {"command": ["my-launcher", "--task=TARGET"]},
        {"args": ["TARGET"]},
        {"command": ["/opt/longtask/launch.sh", "TARGET"]},
        {"command": ["python", "-m", "longtask_jobs", "run", "TARGET"]},
        {"command": ["sh", "-c", "longtask run prep:x > /tmp/p && exec longtask run TARGET"]},
        {"command": ["sh", "-c", "longtask run prep:x > /tmp/p && exec my-launcher TARGET"]},
        {"command": ["sh", "-c", "# was: longtask run old:train\nexec longtask run 'TARGET'\n"]},
        {"command": ["sh", "-c", "true  # longtask run old:train\n"]},
        {"command": ["sh", "-c", 'exec longtask run "$TASK"'], "env": [{"name": "TASK", "value": "TARGET"}]},
        {"command": ["python", "-m", "longtask", "run", "$(TASK)"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("option", ["--check", "--update"])
def test_a_program_of_ones_own_and_what_runs_beside_the_target_stay(
    module: str, run: Run, container: dict[str, Any], option: str
) -> None:
    path = commanded(module, run, **container)
    before = path.read_bytes()
    code, _, errors = run(f"{module}:model_training", option, str(path))
    assert (code, path.read_bytes()) == (0, before), errors


@pytest.mark.parametrize("option", ["--check", "--update"])
def test_of_several_others_that_a_script_runs_none_is_written_over(module: str, run: Run, option: str) -> None:
    path = commanded(module, run, args=["longtask run prep:x > /tmp/p && exec longtask run old:train"])
    before = path.read_bytes()
    code, _, errors = run(f"{module}:model_training", option, str(path))
    assert (code, path.read_bytes()) == (1, before)
    assert f"args runs prep:x and old:train, and not {module}:model_training: write it by hand" in errors


def test_in_a_script_the_run_is_edited_and_nothing_that_looks_like_it(module: str, run: Run) -> None:
    script = "# was: longtask run a:f\ncp data:file .  # a:f\nexec longtask run a:f\n"
    path = commanded(module, run, command=["sh", "-c", "SCRIPT"])
    indented = "".join(f"          {line}\n" for line in script.splitlines())
    text = path.read_text(encoding="utf-8")
    assert "- SCRIPT\n" in text
    path.write_text(text.replace("- SCRIPT\n", f"- |\n{indented}"), encoding="utf-8")
    assert run(f"{module}:model_training", "--update", str(path))[0] == 0
    now = indented.replace("exec longtask run a:f", f"exec longtask run {module}:model_training")
    assert path.read_text(encoding="utf-8") == text.replace("- SCRIPT\n", f"- |\n{now}")


def test_json_keeps_its_lines(module: str, run: Run) -> None:
    _, text, _ = run(f"{module}:model_training", "--image", "x:1")
    path = Path("template.json")
    path.write_text(json.dumps(yaml.safe_load(text), indent=2).replace('"default": 10', '"default": 20'))
    assert run(f"{module}:model_training", "--update", str(path))[0] == 0
    assert path.read_text() == json.dumps(yaml.safe_load(text), indent=2)


def test_an_update_keeps_the_comments_in_what_is_generated(module: str, run: Run, written: Path) -> None:
    text = written.read_text(encoding="utf-8").replace("      name:\n", "      # agents see it\n      name:\n")
    written.write_text(text, encoding="utf-8")
    assert run(f"{module}:model_training", "--check", str(written))[0] == 0
    other = changed(module, "epochs: int", "rounds: int")
    assert run(f"{other}:model_training", "--update", str(written))[0] == 0
    assert "      # agents see it\n      name:\n" in written.read_text(encoding="utf-8")


def test_a_template_of_another_style_is_read_and_edited(module: str, run: Run) -> None:
    _, text, _ = run(f"{module}:model_training", "--image", "x:1")
    path = Path("other.yaml")
    document = yaml.safe_load(text)
    path.write_text(yaml.safe_dump(document, default_flow_style=None, allow_unicode=True, width=60), encoding="utf-8")
    assert run(f"{module}:model_training", "--check", str(path))[0] == 0
    other = changed(module, "epochs: int = 10", "epochs: int = 20")
    assert run(f"{other}:model_training", "--update", str(path), "--memory", "1Gi")[0] == 0
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert found["spec"]["parametersSchema"]["properties"]["epochs"] == {"type": "integer", "default": 20}
    assert found["spec"]["podTemplate"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "1Gi"
    assert run(f"{other}:model_training", "--check", str(path))[0] == 0


def test_the_document_of_that_name_is_checked_among_several(module: str, run: Run, written: Path) -> None:
    other = changed(module, "epochs: int = 10", "epochs: int = 20")
    _, fresh, _ = run(f"{other}:model_training", "--image", "x:1")
    _, add, _ = run(f"{module}:add", "--image", "x:1")
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: model-training\n"
    path = Path("all.yaml")
    path.write_text("---\n".join([config, add, fresh, config]), encoding="utf-8")
    assert run(f"{other}:model_training", "--check", "all.yaml")[0] == 0
    assert run(f"{module}:add", "--check", "all.yaml")[0] == 0
    assert run(f"{module}:model_training", "--check", "all.yaml")[0] == 1


def test_a_name_that_kubectl_takes_for_true_or_false_is_told_and_quoted(module: str, run: Run) -> None:
    Path("short.py").write_text('def f(n: int) -> int:\n    """Adds."""\n    return n\n', encoding="utf-8")
    _, text, _ = run("short:f", "--image", "x:1")
    path = Path("short.yaml")
    path.write_text(text.replace('"n":', "n:"), encoding="utf-8")
    code, _, errors = run("short:f", "--check", str(path))
    assert code == 1
    assert 'short.yaml:14: spec.parametersSchema.properties is {"false": {"type": "integer"}}, and {"n": {' in errors
    assert run("short:f", "--update", str(path))[0] == 0
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "name: model-training",
            "name: other",
            "there is no LongTaskTemplate model-training, only other: is it that, say --name; write it with: ",
        ),
        ("kind: LongTaskTemplate", "kind: LongTask", "there is no LongTaskTemplate model-training; write it with: "),
        ("longtask.dev/schema-hash", "other", "metadata.annotations[longtask.dev/schema-hash] is missing, and "),
    ],
)
def test_a_file_without_the_template_or_its_annotation_does_not_pass(
    module: str, run: Run, written: Path, old: str, new: str, sentence: str
) -> None:
    written.write_text(written.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    code, _, errors = run(f"{module}:model_training", "--check", str(written))
    assert code == 1
    assert sentence in errors


EDITS = [
    ("retry:\n    limit: 2", "retry: {limit: 5}  # it is flaky\n  stall:\n    timeoutSeconds: 600"),
    ("  name: model-training\n", "  name: model-training\n  labels: {team: vision}\n"),
    ('cpu: "500m"', "cpu: 2"),
    ("\nspec:\n", "\nspec:  # of the vision team\n  # The words are the function's.\n"),
    ("  parametersSchema:\n", "\n  # Made by longtask.\n  parametersSchema:\n"),
]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_an_update_changes_what_the_function_says_and_keeps_every_edit(
    module: str, run: Run, written: Path, line_end: str
) -> None:
    text = written.read_text(encoding="utf-8")
    for old, new in EDITS:
        assert old in text
        text = text.replace(old, new)
    written.write_bytes(text.replace("\n", line_end).encode())
    other = changed(module, "Use it when asked", "Use it for vision")
    Path(f"{other}.py").write_text(
        Path(f"{other}.py").read_text("utf-8").replace("epochs: int", "rounds: int"), "utf-8"
    )
    assert run(f"{other}:model_training", "--check", str(written))[0] == 1
    code, out, _ = run(f"{other}:model_training", "--update", str(written))
    assert (code, out) == (0, "")
    found = written.read_bytes().decode()
    assert found.count("\r\n") == (found.count("\n") if line_end == "\r\n" else 0)
    assert run(f"{other}:model_training", "--check", str(written))[0] == 0
    _, fresh, _ = run(f"{other}:model_training", "--image", "x:1", "--retries", "2")
    for old, new in EDITS:
        fresh = fresh.replace(old, new)
    assert found.replace("\r\n", "\n").splitlines()[1:] == fresh.splitlines()[1:]


def test_an_update_of_a_file_that_is_up_to_date_changes_nothing(module: str, run: Run, written: Path) -> None:
    before = written.read_bytes()
    assert run(f"{module}:model_training", "--update", str(written))[0] == 0
    assert written.read_bytes() == before
    assert sorted(path.name for path in written.parent.glob("templates*")) == ["templates.yaml"]


def test_an_update_keeps_the_link_the_mode_and_the_files_beside_it(module: str, run: Run, written: Path) -> None:
    written.chmod(0o640)
    written.with_name("templates.yaml.new").write_text("mine")
    link = Path("link.yaml")
    link.symlink_to(written)
    assert run(f"{module}:model_training", "--update", str(link), "--memory", "3Gi")[0] == 0
    assert link.is_symlink()
    assert "3Gi" in written.read_text(encoding="utf-8")
    assert written.stat().st_mode & 0o777 == 0o640
    assert Path("templates.yaml.new").read_text() == "mine"
    assert sorted(path.name for path in Path().glob("*templates*")) == ["templates.yaml", "templates.yaml.new"]


@pytest.mark.parametrize("returns", [{0}, {3, 9, 20}, {*range(0, 200, 2)}, {*range(1, 200)}], ids=len)
def test_an_update_leaves_every_line_its_own_end(module: str, run: Run, written: Path, returns: set[int]) -> None:
    def mixed(text: str) -> list[str]:
        lines = text.splitlines(keepends=True)
        return [line.replace("\n", "\r\n") if number in returns else line for number, line in enumerate(lines)]

    before = mixed(written.read_text(encoding="utf-8"))
    written.write_bytes("".join(before).encode())
    other = changed(module, "epochs: int", "rounds: int")
    options = ["--memory", "3Gi", "--deadline", "60"]
    assert run(f"{other}:model_training", "--update", str(written), *options)[0] == 0
    after = written.read_bytes().decode().splitlines(keepends=True)
    kept = [line for line in before if line in after]
    assert len(kept) > len(before) - 10
    most = "\r\n" if sum(line.endswith("\r\n") for line in before) * 2 > len(before) else "\n"
    assert [line for line in after if line.strip() == "activeDeadlineSeconds: 60"] == [
        f"  activeDeadlineSeconds: 60{most}"
    ]
    assert run(f"{other}:model_training", "--check", str(written), *options)[0] == 0


def test_what_is_no_file_is_not_replaced_by_an_update(module: str, run: Run) -> None:
    os.mkfifo("pipe.yaml")
    code, _, errors = run(f"{module}:model_training", "--update", "pipe.yaml")
    assert (code, Path("pipe.yaml").is_fifo()) == (1, True)
    assert "pipe.yaml: is no file that can be written anew: name one, or look at this one with --check\n" in errors


def test_an_update_adds_and_removes_the_schema_of_the_result(module: str, run: Run, written: Path) -> None:
    without = changed(module, " -> dict[str, float]", "")
    assert run(f"{without}:model_training", "--update", str(written))[0] == 0
    assert "resultSchema" not in yaml.safe_load(written.read_text("utf-8"))["spec"]
    assert run(f"{without}:model_training", "--check", str(written))[0] == 0
    assert run(f"{module}:model_training", "--update", str(written))[0] == 0
    _, fresh, _ = run(f"{module}:model_training", "--image", "x:1", "--retries", "2")
    assert written.read_text("utf-8") == fresh


def test_an_update_reaches_one_template_among_several_documents(module: str, run: Run, written: Path) -> None:
    _, add, _ = run(f"{module}:add", "--image", "x:1")
    text = written.read_text(encoding="utf-8")
    written.write_text(f"{add}---\n{text}---\nkind: ConfigMap\n", encoding="utf-8")
    other = changed(module, "epochs: int", "rounds: int")
    assert run(f"{other}:model_training", "--update", str(written))[0] == 0
    first, second, third = yaml.safe_load_all(written.read_text(encoding="utf-8"))
    assert first == yaml.safe_load(add)
    assert set(second["spec"]["parametersSchema"]["properties"]) == {"name", "day", "rounds"}
    assert third == {"kind": "ConfigMap"}


def test_a_template_made_by_hand_gets_what_the_function_says(module: str, run: Run) -> None:
    path = Path("hand.yaml")
    path.write_text(
        "kind: LongTaskTemplate\nmetadata:\n    name: sum-up\nspec:\n    retry: {limit: 1}\n    podTemplate: {}\n"
    )
    assert run(f"{module}:add", "--update", str(path))[0] == 0
    found = yaml.safe_load(path.read_text())
    assert found["spec"]["retry"] == {"limit": 1}
    assert (found["spec"]["title"], found["spec"]["description"]) == ("Sum it up", "Adds.")
    assert found["metadata"]["name"] == "sum-up"
    assert run(f"{module}:add", "--check", str(path))[0] == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "kind: LongTaskTemplate\nmetadata: {}\n",
            "there is no LongTaskTemplate sum-up; write it with: longtask template",
        ),
        (
            "kind: LongTaskTemplate\nmetadata:\n  name: sum-up\nspec: x\n",
            "hand.yaml:4: spec.title is missing: write",
        ),
    ],
)
def test_a_file_that_cannot_be_updated_stays_as_it_was(module: str, run: Run, text: str, says: str) -> None:
    path = Path("hand.yaml")
    path.write_text(text)
    code, _, errors = run(f"{module}:add", "--update", str(path))
    assert code == 1
    assert says in errors
    assert path.read_text() == text


def test_what_writes_to_stdout_while_it_is_imported_does_not_reach_the_template(module: str, run: Run) -> None:
    code = f"import os, sys\nos.write(1, b'of a program\\n')\nprint('of a print')\nfrom {module} import *\n"
    Path("loud.py").write_text(code)
    ran = subprocess.run(
        [sys.executable, "-m", "longtask", "template", "loud:add", "--image", "x"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(longtask.__file__).parents[1])},
    )
    assert ran.stdout.startswith("# Made by")
    assert "of a program\n" in ran.stderr
    assert "of a print\n" in ran.stderr


def test_limits_are_those_of_the_api() -> None:
    def most(model: Any, field: str, limit: str) -> int:
        notes = model.model_fields[field].metadata
        return int(next(getattr(note, limit) for note in notes if hasattr(note, limit)))

    assert constants.MAX_TEMPLATE_NAME == MAX_NAME
    assert most(LongTaskTemplateSpec, "title", "max_length") == MAX_TITLE
    assert most(LongTaskTemplateSpec, "description", "max_length") == MAX_DESCRIPTION
    assert most(RetryPolicy, "limit", "le") == MAX_RETRIES
