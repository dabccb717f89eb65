"""`longtask template`: from a function to a LongTaskTemplate, and whether a file still fits."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from longtask.template import MAX_DESCRIPTION, MAX_NAME, MAX_RETRIES, MAX_TITLE, SCHEMA_HASH, main
from longtask_api import names
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
    assert document["metadata"].pop("annotations").keys() == {SCHEMA_HASH}
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
    assert text.splitlines()[0] == f"# Made by `longtask template {module}:model_training --image 'a b' --retries 2`"


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
        (["{m}:add", "--check", "nothing.yaml"], "No such file or directory: 'nothing.yaml'"),
        (["{m}:missing", "--image", "x"], "{m} has no missing: name one of its functions"),
        (
            ["no_such_module:f", "--image", "x"],
            "no_such_module cannot be imported (ModuleNotFoundError: No module named",
        ),
        (["broken:f", "--image", "x"], "broken cannot be imported (ModuleNotFoundError: No module named 'absent')"),
        (["leaving:f", "--image", "x"], "leaving cannot be imported (SystemExit: bye)"),
        (["add", "--image", "x"], "'add' names no function: write module:function, such as train:model_training"),
    ],
)
def test_what_cannot_become_a_template_is_told_in_a_sentence(
    module: str, run: Run, arguments: list[str], sentence: str
) -> None:
    Path("broken.py").write_text("import absent")
    Path("leaving.py").write_text("raise SystemExit('bye')")
    code, text, errors = run(*(each.replace("{m}", module) for each in arguments))
    assert (code, text) == (2, "")
    assert sentence.replace("{m}", module) in errors
    assert "Traceback" not in errors


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
        pytest.param("Use it when asked", "Use it", id="description"),
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
    assert "templates.yaml: LongTaskTemplate model-training has the schema hash " in errors
    assert f"put in its place what this writes: longtask template {module}:model_training --image x:1 " in errors
    assert [line for line in errors.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")] == lines


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


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "name: model-training",
            "name: other",
            "there is no LongTaskTemplate model-training; write it with: ",
        ),
        ("kind: LongTaskTemplate", "kind: LongTask", "there is no LongTaskTemplate model-training; write it with: "),
        ("longtask.dev/schema-hash", "other", "model-training has no annotation longtask.dev/schema-hash, but the "),
    ],
)
def test_a_file_without_the_template_or_its_annotation_does_not_pass(
    module: str, run: Run, written: Path, old: str, new: str, sentence: str
) -> None:
    written.write_text(written.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    code, _, errors = run(f"{module}:model_training", "--check", str(written))
    assert code == 1
    assert sentence in errors


def test_limits_are_those_of_the_api() -> None:
    def most(model: Any, field: str, limit: str) -> int:
        notes = model.model_fields[field].metadata
        return int(next(getattr(note, limit) for note in notes if hasattr(note, limit)))

    assert names.MAX_TEMPLATE_NAME == MAX_NAME
    assert most(LongTaskTemplateSpec, "title", "max_length") == MAX_TITLE
    assert most(LongTaskTemplateSpec, "description", "max_length") == MAX_DESCRIPTION
    assert most(RetryPolicy, "limit", "le") == MAX_RETRIES
