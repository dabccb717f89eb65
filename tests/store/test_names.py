"""Names of ConfigMaps: what Kubernetes takes, different for what is different."""

import re

import pytest

from longtask_operator.store.config_maps import _name
from longtask_operator.store.owner import Owner

UID = "3f8f50c8-8c80-465a-ad9b-bb42bcf9c48a"
SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
"""RFC 1123, as Kubernetes checks it."""

NAMES = {
    ("training-1", "result-2"): rf"training-1-result-2-[0-9a-f]{{10}}-{UID}",
    ("training-1", "artifact-Model_v2.BIN-1-17"): rf"training-1-artifact-model-v2-bin-1-17-[0-9a-f]{{10}}-{UID}",
    ("training-1", "_-_"): rf"training-1--[0-9a-f]{{10}}-{UID}",
    ("t" * 39 + "-" + "x" * 12, "artifact-" + "Ab._-" * 60): rf"t{{39}}-artifact-[ab-]+-[0-9a-f]{{10}}-{UID}",
    ("a.b", "-x-"): rf"a\.b-x-[0-9a-f]{{10}}-{UID}",
}


@pytest.mark.parametrize(("of", "name"), NAMES.items())
def test_a_name_can_be_read_and_is_one_that_kubernetes_takes(of: tuple[str, str], name: str) -> None:
    task, key = of
    made = _name(Owner(task, UID), key)
    assert re.fullmatch(name, made)
    assert re.fullmatch(SUBDOMAIN, made)
    assert len(made) <= 253


@pytest.mark.parametrize(
    ("one", "other"), [("a.b", "a-b"), ("Model", "model"), ("x" * 150 + "1", "x" * 150 + "2"), (".", "..")]
)
def test_keys_that_look_alike_have_different_names(one: str, other: str) -> None:
    assert _name(Owner("training-1", UID), one) != _name(Owner("training-1", UID), other)
