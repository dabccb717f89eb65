"""`longtask template module:function --image IMAGE`: the LongTaskTemplate of a function, as YAML on stdout."""

import argparse
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from longtask.signature import Signature, SignatureError, read
from longtask.target import TargetError, load
from longtask.template_check import difference
from longtask.yaml_text import yaml_text

SCHEMA_HASH = "longtask.dev/schema-hash"
"""The annotation that tells the schemas that a template was made with; the operator hands it to the pod."""
MAX_NAME, MAX_TITLE, MAX_DESCRIPTION, MAX_RETRIES = 40, 100, 4096, 100
"""What the LongTaskTemplate's CRD allows."""
USER = 65532
"""Of the container: any but root, as Pod Security `restricted` wants it."""


def main(arguments: list[str]) -> int:
    """The exit code: 0, 1 when `--check` finds a difference, 2 when there is no template to write."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.image is None and options.check is None:
        parser.error("--image is missing: name the image that has the function")
    try:
        signature = read(load(options.target))
        name = _checked_name(signature, options)
        old = None if options.check is None else options.check.read_text(encoding="utf-8")
    except (TargetError, SignatureError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options.image = options.image or "IMAGE"
    given = {key: value for key, value in vars(options).items() if value != parser.get_default(key)}
    flags = [part for key in given if key not in ("target", "check") for part in (f"--{key}", str(given[key]))]
    command = shlex.join(["longtask", "template", options.target, *flags])
    text = f"# Made by `{command}`\n{yaml_text(document(signature, name, options))}"
    if old is None:
        sys.stdout.write(text)
        return 0
    if found := difference(old, text, name):
        sys.stderr.write(f"{options.check}: {found}\n")
    return 1 if found else 0


def document(signature: Signature, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The LongTaskTemplate. `options` are those of the command line."""
    result_schema = signature.result_schema()
    return {
        "apiVersion": "longtask.dev/v1alpha1",
        "kind": "LongTaskTemplate",
        "metadata": {"name": name, "annotations": {SCHEMA_HASH: signature.schema_hash()}},
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
    parser.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="write nothing; exit with 1 when the template in FILE was made from other parameters or results",
    )
    return parser


def _number(low: int, high: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return number
