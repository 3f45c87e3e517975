"""Requests that the OpenAPI document allows, and requests that it does not allow."""

from typing import Any
from urllib.parse import unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, seed, settings
from schemathesis import GenerationMode

from pubsub.core.errors import InvalidTopicName
from pubsub.core.names import validate_name
from tests.live.conftest import StartServer
from tests.reliability.conftest import SEED, Record, scaled

OPERATIONS = 7
"""Operations that the document has at least, so that an empty document does not pass."""


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_any_request(start_server: StartServer, record: Record, mode: GenerationMode) -> None:
    """Every answer is one that the document describes, and the server stays healthy."""
    server = start_server()
    url = f"http://127.0.0.1:{server.port}"
    operations = [
        result.ok()
        for result in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations()
    ]
    assert len(operations) >= OPERATIONS
    requests = 0
    for operation in operations:
        if mode is GenerationMode.POSITIVE or can_be_wrong(operation):
            requests += ask(operation, mode, url)
    assert requests >= OPERATIONS
    assert server.request("GET", "/health")[1]["status"] == "ok"
    record(f"{requests:,} {mode.value} requests, all checks", "no check failed")


def ask(operation: Any, mode: GenerationMode, url: str) -> int:
    """Make many requests of one kind; return their number."""
    requests = 0

    @seed(SEED)
    @settings(
        max_examples=scaled(3, most=100),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def validate(case: Any) -> None:
        nonlocal requests
        if mode is GenerationMode.POSITIVE:
            make_acceptable(case)
        requests += 1
        case.call_and_validate(base_url=url)

    validate()
    return requests


def can_be_wrong(operation: Any) -> bool:
    """Return whether the document forbids anything that a client can send."""
    return bool(operation.body) or any(
        parameter.definition["schema"].get("type") != "string" for parameter in operation.query
    )


def make_acceptable(case: Any) -> None:
    """Obey the rules that a schema cannot express."""
    # A cursor comes from an earlier page, and a made-up one is refused.
    (case.query or {}).pop("cursor", None)
    if isinstance(case.body, dict) and "name" in case.body:
        assume(is_topic_name(case.body["name"]))
        # To JSON Schema 5.0 is an integer; the server wants an integer to be written as one.
        assume(not isinstance(case.body.get("history"), float))
    if "name" in (case.path_parameters or {}):
        assume(is_topic_name(unquote(case.path_parameters["name"])))


def is_topic_name(name: str) -> bool:
    """Return whether the whole rule for names allows it, not only its regular expression."""
    try:
        validate_name(name)
    except InvalidTopicName:
        return False
    return True
