"""`longtask template module:function --image IMAGE`: writes the LongTaskTemplate of a function as YAML to stdout."""

import argparse
import difflib
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from longtask.signature import Signature, SignatureError, read
from longtask.target import TargetError, load
from longtask.template_file import ABSENT, BadFile, Change, NoTemplate, Part, changed, changes
from longtask.yaml_text import yaml_text

MAX_NAME, MAX_TITLE, MAX_DESCRIPTION, MAX_RETRIES = 40, 100, 4096, 100
"""Limits of the LongTaskTemplate CRD."""
SCHEMA_HASH = "longtask.dev/schema-hash"
"""The annotation with the hash of the schemas that a template was made with; the operator passes it to the pod."""
TEXT_HASH = "longtask.dev/text-hash"
"""The annotation with the hash of all that comes from the function, with title, descriptions and defaults."""
DEFAULTS = {"python": "python", "cpu": "500m", "memory": "512Mi", "retries": 0}
"""Defaults of the command line, for a new template."""
USER = 65532
"""The user of the container: any but root, as Pod Security `restricted` requires."""


def main(arguments: list[str]) -> int:
    """Run the command, and return its exit code.

    0; 1 if `--check` finds a difference, or the template in the file cannot be found, read or edited; 2 if the function
    cannot be a tool, or a file or PyYAML is missing.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    file: Path | None = options.check or options.update
    if options.image is None and file is None:
        parser.error("--image is missing: name the image that has the function")
    if file is not None and (missing := _missing_library()):
        return _told(missing, 2)
    try:
        signature = read(load(options.target))
        name = _checked_name(signature, options)
        if file is not None:
            return _held_against(file, signature, name, options)
    except NoTemplate as error:
        command = _command(options, *([] if options.image else ["--image", "IMAGE"]))
        return _told(f"{file}: {error}; write it with: {command}", 1)
    except BadFile as error:
        return _told(f"{file}{f':{error.line}' if error.line else ''}: {error}", 1)
    except (TargetError, SignatureError, OSError) as error:
        return _told(str(error), 2)
    sys.stdout.write(f"{_heading(options)}{yaml_text(document(signature, name, options))}")
    return 0


def _missing_library() -> str:
    """How to install what `--check` and `--update` need; empty if it is installed."""
    try:
        import longtask.yaml_reader  # noqa: F401, PLC0415 - the rest of the SDK needs no library
    except ImportError as error:
        return f"--check and --update need PyYAML ({error}): pip install 'longtask-sdk[template]'"
    return ""


def _held_against(file: Path, signature: Signature, name: str, options: argparse.Namespace) -> int:
    """Compare the file with the function: print the differences for `--check`, write them into it for `--update`."""
    if options.update and file.exists() and not file.is_file():
        raise BadFile("is no file that can be written anew: name one, or look at this one with --check")
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            text = opened.read()
    except UnicodeDecodeError as error:
        raise BadFile(f"is no text in UTF-8 ({error})") from None
    old = text.replace("\r\n", "\n")
    wanted = (name, options.target, options.python, _wanted(signature, options))
    found = changes(old, *wanted)
    if not found:
        return 0 if options.check else _told(f"{file}: is up to date, nothing is changed", 0)
    written = changed(text, found)
    new = written.replace("\r\n", "\n")
    if changes(new, *wanted):
        raise BadFile(f"{found[0].path} {found[0].problem}: write it by hand", found[0].line)
    places = [f"{file}:{each.line}: {each.path} {each.problem}\n" for each in found]
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), str(file), options.target, n=0)
    told = "".join([*places, *lines])
    if options.check:
        return _told(f"{told}{_mending(found, options)}", 1)
    _write(file, written)
    return _told(f"{told}{file}: is changed so", 0)


def _told(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


def _heading(options: argparse.Namespace) -> str:
    """A comment with the command that makes the template."""
    return f"# Made by `{_command(options)}`\n"


def _command(options: argparse.Namespace, *more: str) -> str:
    given = ((key, value) for key, value in vars(options).items() if key not in ("target", "check", "update"))
    flags = [part for key, value in given if value is not None for part in (f"--{key}", str(value))]
    return shlex.join(["longtask", "template", options.target, *flags, *more])


def _write(file: Path, text: str) -> None:
    """Replace the file atomically. A symbolic link stays one, and the file's mode is kept."""
    place = file.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    new = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
        shutil.copymode(place, new)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)


def _mending(found: list[Change], options: argparse.Namespace) -> str:
    computed = ""
    if any(each.path.endswith(".default") for each in found):
        computed = (
            "if a default was not edited, it is computed when the module is imported, and another one each time: write "
            "None, and compute it in the function\n"
        )
    command = _command(options, "--update", str(options.check))
    return f"{computed}this writes what the function says now, and keeps the rest of the file: {command}"


def _wanted(signature: Signature, options: argparse.Namespace) -> Part:
    """What the file must say: all that comes from the function, and the options that are given."""
    made = document(signature, "", options)
    result_schema = made["spec"].get("resultSchema", ABSENT)
    spec = Part({key: made["spec"][key] for key in ("title", "description", "parametersSchema")})
    spec["resultSchema"] = result_schema
    if options.retries is not None:
        spec["retry"] = Part(limit=options.retries)
    if options.deadline is not None:
        spec["activeDeadlineSeconds"] = options.deadline
    container = Part({} if options.image is None else {"image": options.image})
    resources = Part({key: getattr(options, key) for key in ("cpu", "memory") if getattr(options, key) is not None})
    if resources:
        container["resources"] = Part(requests=resources, limits=resources)
    if container:
        spec["podTemplate"] = Part(spec=Part(containers=Part({0: container})))
    return Part(
        apiVersion=made["apiVersion"], metadata=Part(annotations=Part(made["metadata"]["annotations"])), spec=spec
    )


def document(signature: Signature, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The LongTaskTemplate in the types of JSON. `options` are those of the command line."""
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
            "retry": {"limit": _given(options, "retries")},
            **({} if options.deadline is None else {"activeDeadlineSeconds": options.deadline}),
            "podTemplate": {"spec": _pod(options)},
        },
    }


def _pod(options: argparse.Namespace) -> dict[str, Any]:
    resources = {"cpu": _given(options, "cpu"), "memory": _given(options, "memory")}
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
                "command": [_given(options, "python"), "-m", "longtask", "run", options.target],
                # For caches of libraries: the root file system is read-only.
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


def _given(options: argparse.Namespace, key: str) -> Any:
    value = getattr(options, key)
    return DEFAULTS[key] if value is None else value


def _checked_name(signature: Signature, options: argparse.Namespace) -> str:
    """The template's name. Raises TargetError for what the CRD would refuse, and for a docstring that does not fit."""
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
    if signature.unmatched:
        raise TargetError(
            f"the docstring of {options.target} describes {', '.join(signature.unmatched)}, and no parameter is called "
            "so: correct the name, or indent further what goes on from the line above"
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
    parser.add_argument("--python", help=f"the interpreter in the image (default: {DEFAULTS['python']})")
    parser.add_argument("--cpu", type=_cpu, help=f"CPU of the container (default: {DEFAULTS['cpu']})")
    parser.add_argument("--memory", type=_memory, help=f"memory of the container (default: {DEFAULTS['memory']})")
    parser.add_argument(
        "--retries",
        type=_number(0, MAX_RETRIES),
        help=f"how often failed work is tried again (default: {DEFAULTS['retries']}); an evicted pod is replaced all "
        "the same",
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
        help="write nothing; exit with 1, and say what differs, when the template in FILE says other than the function "
        "(schemas, title, descriptions, defaults, what the container runs) or than the other options that are given",
    )
    files.add_argument(
        "--update",
        type=Path,
        metavar="FILE",
        help="write what the function says now, and the other options that are given, into the template in FILE; all "
        "else stays as it is",
    )
    return parser


def _number(low: int, high: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return number


def _cpu(text: str) -> str:
    """Cores, as a Kubernetes quantity of at least a thousandth."""
    if not re.fullmatch(r"\d+(\.\d{1,3})?|\d+m", text, re.ASCII) or not re.search("[1-9]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no quantity of CPU: write cores, such as 2 or 0.5 or 500m")
    return text


def _memory(text: str) -> str:
    """Bytes, as a Kubernetes quantity. Kubernetes also accepts 512m, which is half a byte; this does not."""
    if not re.fullmatch(r"\d+(\.\d+)?([KMGTPE]i|[kMGTPE])?", text, re.ASCII) or not re.search("[1-9]", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no quantity of memory: write a number with Ki, Mi, Gi or k, M, G, such as 512Mi or 4Gi"
        )
    return text
