"""Converts a pydantic model into the structural OpenAPI v3 schema that a CustomResourceDefinition needs."""

from typing import Any

from longtask_api.base import ApiModel

ANY_VALUE = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
_FORMATS = {"integer": "int64", "number": "double"}


def structural(model: Any) -> dict[str, Any]:
    """The schema of `model`, with references inlined and every field described.

    Structural schemas allow neither $ref nor anyOf over types
    (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/).
    Raises ValueError if such a schema cannot express the model, or a field has no description.
    """
    if not (isinstance(model, type) and issubclass(model, ApiModel)):
        raise ValueError(f"{model} is not an ApiModel")
    document = model.model_json_schema(by_alias=True)
    definitions = document.pop("$defs", {})
    return _convert(document, definitions, model.__name__)


def _convert(node: dict[str, Any], definitions: dict[str, Any], path: str) -> dict[str, Any]:
    node = _resolve(node, definitions, path)
    if not node.keys() - {"description", "default", "title"}:
        return _described(node) | ANY_VALUE
    result = {
        key: value
        for key, value in node.items()
        if key not in {"title", "properties", "items", "additionalProperties", "default"}
    }
    if "properties" in node:
        result["properties"] = {
            name: _property(child, definitions, f"{path}.{name}") for name, child in node["properties"].items()
        }
    if "items" in node:
        result["items"] = _convert(node["items"], definitions, f"{path}[]")
    if result.get("type") in _FORMATS:
        result["format"] = _FORMATS[result["type"]]
    extra = node.get("additionalProperties")
    if extra is True and "properties" not in node:
        result["additionalProperties"] = ANY_VALUE
    elif extra is True:
        result["x-kubernetes-preserve-unknown-fields"] = True
    elif isinstance(extra, dict):
        result["additionalProperties"] = _convert(extra, definitions, f"{path}[*]")
    if node.get("default") is not None and not isinstance(node["default"], list):
        result["default"] = node["default"]
    return result


def _property(node: dict[str, Any], definitions: dict[str, Any], path: str) -> dict[str, Any]:
    converted = _convert(node, definitions, path)
    if not converted.get("description"):
        raise ValueError(f"{path} has no description")
    return converted


def _resolve(node: dict[str, Any], definitions: dict[str, Any], path: str) -> dict[str, Any]:
    """Follow $ref and drop the null branch of an optional field; the field's own keywords take precedence."""
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        return _resolve(target | {key: value for key, value in node.items() if key != "$ref"}, definitions, path)
    if "anyOf" in node:
        branches = [branch for branch in node["anyOf"] if branch != {"type": "null"}]
        if len(branches) != 1:
            raise ValueError(f"{path} allows several types; a structural schema cannot")
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        return _resolve(branches[0] | rest, definitions, path)
    return node


def _described(node: dict[str, Any]) -> dict[str, Any]:
    return {"description": node["description"]} if "description" in node else {}
