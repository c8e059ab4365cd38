"""Holds JSON objects against the annotations of the installed SDK's resource classes, and against Stripe's contract.

The SDK's `Optional` says both "may be null" and "may be missing". Which of the two is in `contract.json`: for each class
the nullable fields that every answer has (`always`), and those that are left out rather than null (`never_null`). It
was taken from the types that Stripe publishes for Node (version 23.1.0, the same API version).
"""

import builtins
import json
import types
import typing
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import stripe
from stripe._list_object import ListObject
from stripe._object_classes import OBJECT_CLASSES
from stripe._stripe_object import StripeObject

CONTRACT: Mapping[str, Mapping[str, str]] = json.loads(Path(__file__).with_name("contract.json").read_text())
LIST_FIELDS = {"object", "data", "has_more", "url"}


class _Names(dict[str, Any]):
    """Resolves the names that the SDK only imports for type checkers."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) or hasattr(typing, name):
            raise KeyError(name)
        # classes the SDK loads lazily and the emulator never sends in full are any object
        return getattr(stripe, name, None) or _classes().get(name) or Any


@cache
def _classes() -> Mapping[str, Any]:
    return {cls.__name__: cls for cls in _subclasses(StripeObject)} | {"RefundResource": stripe.Refund}


def _subclasses(cls: Any) -> Iterator[Any]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


@cache
def fields(cls: Any) -> Mapping[str, Any]:
    """The resource class's public fields and their types."""
    hints = get_type_hints(cls, localns=_Names())
    return {name: hint for name, hint in hints.items() if not name.startswith("_") and name != "OBJECT_NAME"}


def problems(body: Mapping[str, Any]) -> list[str]:
    """Where an object differs from its resource class; empty if nowhere."""
    kind = body["object"]
    module, name = OBJECT_CLASSES[kind]
    return list(_object(body, getattr(import_module(module), name), kind))


def _object(value: Any, cls: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
        return
    if value.get("deleted") is True:
        return
    hints = fields(cls)
    yield from _contract(value, cls, path)
    for name, item in value.items():
        if name not in hints:
            yield f"{path}.{name}: the SDK's {cls.__name__} has no such field"
        else:
            yield from _check(item, hints[name], f"{path}.{name}")
    for name, hint in hints.items():
        if name not in value and type(None) not in get_args(hint):
            yield f"{path}.{name}: missing, and not optional in the SDK's {cls.__name__}"


def _contract(value: Mapping[str, Any], cls: Any, path: str) -> Iterator[str]:
    rules = CONTRACT.get(contract_name(cls), {"always": "", "never_null": ""})
    for name in rules["always"].split():
        if name not in value:
            yield f"{path}.{name}: missing, and in every answer by Stripe's contract"
    for name in rules["never_null"].split():
        if name in value and value[name] is None:
            yield f"{path}.{name}: null, and left out without a value by Stripe's contract"


def contract_name(cls: Any) -> str:
    """The name of an SDK class in `contract.json`: ``Invoice.ThresholdReason``, ``Checkout.Session``."""
    folder = cls.__module__.split(".")[1]
    prefix = "" if folder.startswith("_") else folder.title().replace("_", "") + "."
    return f"{prefix}{cls.__qualname__}"


def _check(value: Any, hint: Any, path: str) -> Iterator[str]:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return
    if origin in {Union, types.UnionType}:
        yield from _union(value, args, path)
    elif origin is Literal:
        if value not in args:
            yield f"{path}: {value!r} is none of {args}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for index, item in enumerate(value):
            yield from _check(item, args[0], f"{path}[{index}]")
    elif origin is ListObject:
        yield from _list(value, args[0], path)
    elif getattr(origin or hint, "__name__", "") == "UntypedStripeObject":
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no hash"
    elif isinstance(hint, type) and issubclass(hint, StripeObject):
        yield from _object(value, hint, path)
    else:
        yield from _scalar(value, hint, path)


def _union(value: Any, args: tuple[Any, ...], path: str) -> Iterator[str]:
    if value is None:
        if type(None) not in args:
            yield f"{path}: null, and not optional"
        return
    arms = [arg for arg in args if arg is not type(None)]
    if any(get_origin(arg) is Literal for arg in arms):
        arms = [arg for arg in arms if arg is not str]  # `|str` only keeps the SDK open for later versions
    found = [list(_check(value, arm, path)) for arm in arms]
    if all(found):
        yield from min(found, key=len)


def _list(value: Any, item: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict) or set(value) != LIST_FIELDS or value["object"] != "list":
        yield f"{path}: {value!r} is no list object"
        return
    for index, entry in enumerate(value["data"]):
        yield from _check(entry, item, f"{path}.data[{index}]")


def _scalar(value: Any, hint: Any, path: str) -> Iterator[str]:
    if hint is Decimal:
        if not isinstance(value, str) or not Decimal(value).is_finite():
            yield f"{path}: {value!r} is no decimal in a string"
    elif hint in {int, str, bool, float}:
        wanted = (int, float) if hint is float else hint
        if not isinstance(value, wanted) or (hint is not bool and isinstance(value, bool)):
            yield f"{path}: {value!r} is no {hint.__name__}"
    else:
        yield f"{path}: the test can't judge the annotation {hint!r}"
