"""Form-encoded bracket parameters (``lines[0][amount]=5``) to nested dicts and lists of strings.

Types come later, in `validation`: on the wire everything is a string.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias
from urllib.parse import parse_qsl

from .errors import invalid

Raw: TypeAlias = "str | list[Raw] | dict[str, Raw]"
"""A parameter as it arrived. ``a[0]=x`` is a dict with the key "0", ``a[]=x`` a list."""

FIELDS_MAX = 20_000
DEPTH_MAX = 8


def parse(encoded: str) -> dict[str, Raw]:
    """Parse a query string or form body.

    Raises a 400 for malformed brackets, for one name used as both a value and a container, and for a body
    with more than `FIELDS_MAX` fields.
    """
    if not encoded:
        return {}
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, strict_parsing=False, max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise invalid(f"Invalid request body: {error}") from None
    root: dict[str, Raw] = {}
    for name, value in pairs:
        if "[" in name:
            _put(root, _split(name), value, name)
        else:
            _put_leaf(root, name, value, name)
    return root


def _split(name: str) -> list[str]:
    head, _, rest = name.partition("[")
    if not head or not rest.endswith("]"):
        raise invalid(f"Invalid parameter name: {name}", param=name)
    parts = [head, *rest[:-1].split("][")]
    if len(parts) > DEPTH_MAX or any("[" in part or "]" in part for part in parts):
        raise invalid(f"Invalid parameter name: {name}", param=name)
    if "" in parts[1:-1]:
        raise invalid(f"Invalid array: give explicit indexes in {name}", param=name)
    return parts


def _put(root: dict[str, Raw], parts: list[str], value: str, name: str) -> None:
    node = root
    for part, following in pairwise(parts):
        if following == "":
            items = node.setdefault(part, [])
            if not isinstance(items, list):
                raise invalid(f"Invalid array: {name}", param=name)
            items.append(value)
            return
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            raise invalid(f"Invalid object: {name}", param=name)
        node = child
    _put_leaf(node, parts[-1], value, name)


def _put_leaf(node: dict[str, Raw], part: str, value: str, name: str) -> None:
    if isinstance(node.get(part), dict | list):
        raise invalid(f"Invalid object: {name}", param=name)
    node[part] = value
