"""Arranges the AsyncAPI document for people to read."""

import json
from typing import Any


def outline(document: dict[str, Any]) -> dict[str, Any]:
    """Return the context for the template: the commands, and the messages that the server sends."""
    operations = document["operations"]
    commands = [name for name, operation in operations.items() if operation["action"] == "receive"]
    messages = document["components"]["messages"]
    return {
        "info": document["info"],
        "commands": [_entry(document, name) for name in commands],
        "replies": [_entry(document, name) for name in messages if name not in commands],
    }


def _entry(document: dict[str, Any], name: str) -> dict[str, Any]:
    message = document["components"]["messages"][name]
    reply = document["operations"].get(name, {}).get("reply", {"messages": []})
    return {
        "name": name,
        "summary": message["summary"],
        "answers": [_last_part(answer) for answer in reply["messages"]],
        "fields": _fields(document, message["payload"]),
        "examples": [
            {
                "name": example["name"],
                "text": json.dumps(example["payload"], indent=2, ensure_ascii=False),
            }
            for example in message["examples"]
        ],
    }


def _last_part(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _fields(
    document: dict[str, Any], reference: dict[str, str], prefix: str = ""
) -> list[dict[str, Any]]:
    """Flatten the fields of a schema and its nested schemas: ``message`` and ``message.id``."""
    schema = document["components"]["schemas"][_last_part(reference)]
    fields: list[dict[str, Any]] = []
    for name, field in schema["properties"].items():
        fields.append(
            {
                "name": prefix + name,
                "type": _type(field),
                "required": name in schema["required"],
                "rules": list(_rules(field)),
            }
        )
        if "$ref" in field:
            fields += _fields(document, field, f"{prefix}{name}.")
    return fields


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return "object"
    return str(field.get("type", "string" if "enum" in field else "any JSON value"))


def _rules(field: dict[str, Any]) -> list[str]:
    rules = []
    if "enum" in field:
        rules.append(" or ".join(f"“{value}”" for value in field["enum"]))
    if "minimum" in field:
        rules.append(f"at least {field['minimum']}")
    if "maximum" in field:
        rules.append(f"at most {field['maximum']}")
    if "default" in field:
        rules.append(f"{json.dumps(field['default'])} if it is left out")
    if "description" in field:
        rules.append(field["description"])
    elif "maxLength" in field:
        rules.append(f"at most {field['maxLength']} characters")
    return rules
