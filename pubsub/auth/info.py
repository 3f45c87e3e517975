"""What presence says about a user to others: a small JSON object."""

import json
from typing import Any

MAX_INFO_BYTES = 1024
"""Bytes that the object may have as compact JSON."""


def encode_info(info: Any) -> bytes:
    """Encode the object.

    Raises:
        ValueError: It is no object, is too large, or contains something that JSON cannot represent.
    """
    if isinstance(info, dict):
        try:
            encoded = json.dumps(
                info, ensure_ascii=False, separators=(",", ":"), allow_nan=False
            ).encode()
        except (ValueError, TypeError):  # including half of a surrogate pair
            encoded = None
        if encoded is not None and len(encoded) <= MAX_INFO_BYTES:
            return encoded
    raise ValueError(f"info must be an object of at most {MAX_INFO_BYTES} bytes")
