"""Names that several processes must agree on."""

import re

import pytest

from longtask_api import constants, mcp_names, parameters


def test_the_name_of_a_job_tells_two_tasks_of_one_name_apart() -> None:
    assert constants.job_name("training-1", "8f3c2a1b-1111-4222-8333-444444444444") == "training-1-8f3c2a1b"
    assert constants.job_name("training-1", "00000000-1111-4222-8333-444444444444") == "training-1-00000000"


def test_the_name_of_a_job_is_a_dns_label_for_the_longest_task_name() -> None:
    assert len(constants.job_name("t" * constants.MAX_TASK_NAME, "8f3c2a1b-1111-4222-8333-444444444444")) <= 63


@pytest.mark.parametrize(("template", "tool"), [("model-training", "model_training"), ("a-b-c", "a_b_c"), ("x", "x")])
def test_the_tool_of_a_template_has_no_dashes(template: str, tool: str) -> None:
    assert constants.tool_name(template) == tool


@pytest.mark.parametrize(
    ("parameter", "variable"),
    [("epochs", "LONGTASK_PARAM_EPOCHS"), ("model-name", "LONGTASK_PARAM_MODEL_NAME"), ("aB_1", "LONGTASK_PARAM_AB_1")],
)
def test_the_variable_of_a_parameter(parameter: str, variable: str) -> None:
    assert parameters.environment_name(parameter) == variable


def test_the_label_of_a_requester_is_the_same_everywhere_and_fits_a_label() -> None:
    label = mcp_names.requester_label("system:serviceaccount:agents:researcher")
    assert label == "32b24e8c7f070371"
    assert re.fullmatch("[0-9a-f]{16}", label)
    assert label != mcp_names.requester_label("system:serviceaccount:agents:writer")
