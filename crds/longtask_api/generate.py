"""Writes crds/*.yaml and the chart's copy: `python -m longtask_api.generate`. With --check it only compares them."""

import sys
from pathlib import Path
from typing import Any

import yaml

from longtask_api import crd

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (ROOT / "crds", ROOT / "charts" / "longtask" / "files" / "crds")


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0, or 1 if --check finds a file that differs from the models."""
    files = {
        folder / f"{document['spec']['names']['plural']}.yaml": _render(document)
        for folder in FOLDERS
        for document in (crd.task_crd(), crd.template_crd())
    }
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what the models say: run `make generate`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
        print(path.relative_to(ROOT))
    return 0


def _render(document: dict[str, Any]) -> str:
    body = yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
    return f"# Made from crds/longtask_api by `make generate`.\n{body}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
