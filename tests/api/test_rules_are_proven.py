"""No rule without a refusal that was seen: the tables of the other files hold every rule's message."""

import pytest

from longtask_api import rules
from tests.api import test_create, test_spec_rules, test_status_rules, test_template_rules

WRITTEN = {
    case.says
    for table in (test_spec_rules.REFUSED, test_status_rules.REFUSED, test_template_rules.REFUSED)
    for case in table
}
"""Refused as merge patch, JSON patch, PUT and server-side apply: each row of these runs with all four."""
CREATED = {case.says for case in test_create.REFUSED_NAMES}
"""Refused as POST and as server-side apply; a name is never written again."""


@pytest.mark.parametrize("rule", [*rules.TASK_RULES, *rules.TEMPLATE_RULES], ids=lambda rule: rule.message)
def test_a_refusal_with_its_message_is_in_the_tables(rule: rules.Rule) -> None:
    assert rule.message in (CREATED if rule.field_path == ".metadata.name" else WRITTEN)


def test_messages_tell_the_rules_apart() -> None:
    messages = [rule.message for rule in (*rules.TASK_RULES, *rules.TEMPLATE_RULES)]

    assert len(messages) == len(set(messages))
