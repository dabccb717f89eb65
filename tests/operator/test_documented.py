"""The template that the authors' page shows does what the page says."""

from collections.abc import Callable

import pytest
import yaml

from tests.docs.pages import blocks
from tests.operator.tasks import IMAGE, Tasks

pytestmark = pytest.mark.cluster


def test_the_smallest_template_works(tasks: Tasks, unique: Callable[[str], str]) -> None:
    (block,) = [block for block in blocks("yaml") if block.page == "docs/authors.md" and "apiVersion" in block.text]
    template = yaml.safe_load(block.text)
    template["spec"]["podTemplate"]["spec"]["containers"][0]["image"] = IMAGE
    tasks.template(template["metadata"]["name"], template["spec"])
    name = unique("primes")
    tasks.start(name, template["metadata"]["name"], {"limit": 1000})
    assert tasks.wait(name, "Succeeded")["result"]["value"] == {"primes": 168}
