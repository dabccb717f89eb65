"""What the documentation says exists, exists; what it shows, is accepted."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, Block, blocks, headings

LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
MANIFESTS = [block for block in blocks("yaml") if "apiVersion:" in block.text]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    inside = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    for target in inside:
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in headings(linked), target


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: f"{block.page}:{block.line}")
def test_python_is_python(block: Block) -> None:
    compile(block.text, block.page, "exec")


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`?make ([a-z-]+)", page.read_text())}
    assert named & {"demo", "test"}
    assert named - {"it", "sense", "this"} <= targets


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("block", MANIFESTS, ids=lambda block: f"{block.page}:{block.line}")
def test_the_api_server_takes_every_manifest(block: Block) -> None:
    for document in yaml.safe_load_all(block.text):
        applied = subprocess.run(
            ["kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", "-"],
            input=yaml.safe_dump(document),
            capture_output=True,
            text=True,
            check=False,
        )
        assert applied.returncode == 0, applied.stderr
