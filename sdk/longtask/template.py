"""`longtask template module:function --image IMAGE`: the LongTaskTemplate of a function, as YAML on stdout."""

import argparse
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from longtask.signature import Signature, SignatureError, read
from longtask.target import TargetError, load
from longtask.template_check import SCHEMA_HASH, TEXT_HASH, NoTemplate, difference, updated
from longtask.yaml_text import yaml_text

MAX_NAME, MAX_TITLE, MAX_DESCRIPTION, MAX_RETRIES = 40, 100, 4096, 100
"""What the LongTaskTemplate's CRD allows."""
USER = 65532
"""Of the container: any but root, as Pod Security `restricted` wants it."""


def main(arguments: list[str]) -> int:
    """The exit code: 0, 1 when `--check` finds a difference, 2 when there is no template to write."""
    parser = _parser()
    options = parser.parse_args(arguments)
    file: Path | None = options.check or options.update
    if options.image is None and file is None:
        parser.error("--image is missing: name the image that has the function")
    try:
        signature = read(load(options.target))
        name = _checked_name(signature, options)
        options.image = options.image or "IMAGE"
        fresh = f"{_heading(parser, options)}{yaml_text(document(signature, name, options))}"
        if file is None:
            sys.stdout.write(fresh)
            return 0
        with file.open(encoding="utf-8", newline="") as opened:
            old = opened.read()
        if options.update is not None:
            _write(file, updated(old, fresh, name))
            return 0
        found = difference(old, fresh, name)
    except NoTemplate as error:
        return _told(f"{file}: {error}; write it with: longtask template {options.target} --image IMAGE", 1)
    except (TargetError, SignatureError, OSError, UnicodeDecodeError) as error:
        return _told(str(error), 2)
    return _told(f"{file}: {found}\n{_mending(options)}", 1) if found else 0


def _told(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


def _heading(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """The command that makes it, as a comment."""
    given = {key: value for key, value in vars(options).items() if value != parser.get_default(key)}
    own = ("target", "check", "update")
    flags = [part for key in given if key not in own for part in (f"--{key}", str(given[key]))]
    return f"# Made by `{shlex.join(['longtask', 'template', options.target, *flags])}`\n"


def _write(file: Path, text: str) -> None:
    """In one step: a file that is half written is no template."""
    new = file.with_name(f"{file.name}.new")
    with new.open("w", encoding="utf-8", newline="") as opened:
        opened.write(text)
    new.replace(file)


def _mending(options: argparse.Namespace) -> str:
    named = ["--name", options.name] if options.name else []
    command = shlex.join(["longtask", "template", options.target, *named, "--update", str(options.check)])
    return f"this writes what the function says now, and keeps the rest of the file: {command}"


def document(signature: Signature, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The LongTaskTemplate. `options` are those of the command line."""
    result_schema = signature.result_schema()
    annotations = {SCHEMA_HASH: signature.schema_hash(), TEXT_HASH: signature.text_hash()}
    return {
        "apiVersion": "longtask.dev/v1alpha1",
        "kind": "LongTaskTemplate",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "title": signature.title,
            "description": signature.description,
            "parametersSchema": signature.parameters_schema(),
            **({} if result_schema is None else {"resultSchema": result_schema}),
            "retry": {"limit": options.retries},
            **({} if options.deadline is None else {"activeDeadlineSeconds": options.deadline}),
            "podTemplate": {"spec": _pod(options)},
        },
    }


def _pod(options: argparse.Namespace) -> dict[str, Any]:
    resources = {"cpu": options.cpu, "memory": options.memory}
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "main",
                "image": options.image,
                "command": [options.python, "-m", "longtask", "run", options.target],
                # Caches of libraries go there: the root file system is not writable.
                "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108
                "resources": {"requests": resources, "limits": resources},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _checked_name(signature: Signature, options: argparse.Namespace) -> str:
    """The template's name. Raises TargetError for what the CRD would refuse."""
    name: str = options.name or signature.name.lower().replace("_", "-")
    if len(name) > MAX_NAME or not re.fullmatch(r"[a-z](?:[a-z0-9-]*[a-z0-9])?", name):
        raise TargetError(
            f"{name!r} is no name of a template: it has at most {MAX_NAME} of a-z, 0-9 and '-' and starts with a "
            "letter; give one with --name"
        )
    if not signature.description:
        raise TargetError(
            f"{options.target} has no docstring: say in it what the work does and when to use it; agents choose by it"
        )
    texts = (("title", signature.title, MAX_TITLE), ("description", signature.description, MAX_DESCRIPTION))
    for what, text, limit in texts:
        if len(text) > limit:
            raise TargetError(
                f"the {what} of {options.target} has {len(text)} characters, {limit} are allowed: shorten it"
            )
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="longtask template",
        description="Writes the LongTaskTemplate of a function to stdout, as YAML: its parameters, result, title and "
        "description come from its signature and docstring. Run it where the function's imports are, in its image.",
    )
    parser.add_argument("target", metavar="MODULE:FUNCTION", help="the function, such as train:model_training")
    parser.add_argument("--image", help="the image that has the function and longtask")
    parser.add_argument("--name", help="name of the template (default: the function's, with '-' for '_')")
    parser.add_argument("--python", default="python", help="the interpreter in the image (default: %(default)s)")
    parser.add_argument("--cpu", default="500m", help="CPU of the container (default: %(default)s)")
    parser.add_argument("--memory", default="512Mi", help="memory of the container (default: %(default)s)")
    parser.add_argument(
        "--retries",
        type=_number(0, MAX_RETRIES),
        default=0,
        help="how often failed work is tried again (default: %(default)s); an evicted pod is replaced all the same",
    )
    parser.add_argument(
        "--deadline",
        type=_number(1, 10**9),
        metavar="SECONDS",
        help="the longest that all attempts together may work (default: the API's, a day)",
    )
    files = parser.add_mutually_exclusive_group()
    files.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="write nothing; exit with 1 when the template in FILE says other than the function: schemas, title, "
        "descriptions or defaults",
    )
    files.add_argument(
        "--update",
        type=Path,
        metavar="FILE",
        help="write what the function says now into the template in FILE, and keep all else as it is",
    )
    return parser


def _number(low: int, high: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return number
