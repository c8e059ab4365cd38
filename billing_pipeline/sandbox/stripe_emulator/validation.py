"""Requests are checked against the installed SDK's own parameter types.

`checker` compiles a ``stripe.params`` TypedDict once into nested functions that turn the strings of a form
into int, bool, Decimal, list and dict, and refuse what Stripe refuses: unknown names, wrong types, missing
parameters, unknown enum values. The only module of the emulator that imports stripe. Rules that need state
(does the customer exist?) belong to the operations.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import (  # noqa: UP035
    Any,
    Dict,
    List,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import stripe.params
from stripe._request_options import RequestOptions
from typing_extensions import is_typeddict

from . import parameter_values as values
from .errors import StripeError, invalid, unsupported
from .forms import Raw
from .parameter_values import Check

_NAMES = {"StripeContext": object, "Mapping": Mapping, "Dict": Dict, "List": List}  # noqa: UP006
_INDEX = re.compile(r"\d{1,6}", re.ASCII)


@cache
def checker(params: str) -> Check:
    """The checker of ``stripe.params.<params>`` with dots for the SDK's folders.

    Raises AttributeError if this SDK has no such type.
    """
    return _object(attrgetter(params)(stripe.params))


def check(params: str, raw: dict[str, Raw], supported: frozenset[str], operation: str) -> dict[str, Any]:
    """Typed parameters of a request.

    ``supported`` lists what the emulator implements, with dots for nested names (`lines.amount`); a name
    without nested entries stands for everything under it. Anything else that Stripe knows is refused as
    unsupported.
    """
    typed: dict[str, Any] = checker(params)(raw, "")
    _refuse_unsupported(typed, "", supported, operation)
    return typed


def _refuse_unsupported(value: Any, prefix: str, supported: frozenset[str], operation: str) -> None:
    if isinstance(value, list):
        for item in value:
            _refuse_unsupported(item, prefix, supported, operation)
        return
    if not isinstance(value, dict) or (prefix and not any(name.startswith(prefix) for name in supported)):
        return
    for name, item in value.items():
        if prefix + name not in supported and not any(s.startswith(f"{prefix}{name}.") for s in supported):
            raise unsupported(f"the parameter `{prefix}{name}` of {operation}")
        _refuse_unsupported(item, f"{prefix}{name}.", supported, operation)


def _object(typed_dict: Any) -> Check:
    hints = get_type_hints(typed_dict, localns=_NAMES, include_extras=True)
    options = RequestOptions.__annotations__ if RequestOptions in getattr(typed_dict, "__orig_bases__", ()) else {}
    required = [name for name in typed_dict.__required_keys__ if name not in options]
    fields = {
        name: values.metadata if name in {"metadata", "invoice_metadata"} else _lazy(_bare(hint))
        for name, hint in hints.items()
        if name not in options
    }

    def check_object(raw: Raw, path: str) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise invalid("Invalid object", param=path)
        typed = {}
        for name, value in raw.items():
            where = f"{path}[{name}]" if path else name
            field = fields.get(name)
            if field is None:
                raise invalid(f"Received unknown parameter: {where}", code="parameter_unknown", param=where)
            typed[name] = field(value, where)
        for name in required:
            if name not in typed:
                where = f"{path}[{name}]" if path else name
                raise invalid(f"Missing required param: {where}.", code="parameter_missing", param=where)
        return typed

    return check_object


def _lazy(hint: Any) -> Check:
    """Compile at first use: most of Stripe's nested parameters are never sent."""
    compiled: list[Check] = []

    def check_lazily(raw: Raw, path: str) -> Any:
        if not compiled:
            compiled.append(_compile(hint))
        return compiled[0](raw, path)

    return check_lazily


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) in {NotRequired, Required} else hint


def _compile(hint: Any) -> Check:
    origin, args = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return _union(args)
    if origin is Literal:
        return values.enum([str(value) for value in args])
    if origin is list:
        return _array(_lazy(args[0]))
    if origin is dict:
        return values.string_hash
    if is_typeddict(hint):
        return _object(hint)
    scalars: dict[Any, Check] = {
        str: values.string,
        int: values.integer,
        bool: values.boolean,
        Decimal: values.decimal,
        float: values.floating,
    }
    if hint not in scalars:
        raise TypeError(f"no checker for {hint!r}: the SDK uses a type the emulator has not met")
    return scalars[hint]


def _union(args: tuple[Any, ...]) -> Check:
    # `Literal[...]|str` keeps the SDK open for values of later versions; the API itself is closed
    literals = [str(value) for arg in args if get_origin(arg) is Literal for value in get_args(arg)]
    others = [a for a in args if get_origin(a) is not Literal and a is not type(None) and not _untyped(a)]
    if literals and literals != [""]:
        others = [arg for arg in others if arg is not str]
    containers = [_compile(arg) for arg in others if get_origin(arg) in {list, dict} or is_typeddict(arg)]
    scalars = [_compile(arg) for arg in others if get_origin(arg) not in {list, dict} and not is_typeddict(arg)]
    if literals and not scalars:
        scalars = [values.enum(literals)]

    def check_union(raw: Raw, path: str) -> Any:
        if isinstance(raw, str):
            if raw in literals:
                return raw
            for scalar in scalars[:-1]:
                try:
                    return scalar(raw, path)
                except StripeError:
                    continue
            return (scalars or containers)[-1](raw, path)
        return (containers or scalars)[-1](raw, path)

    return check_union


def _untyped(hint: Any) -> bool:
    return getattr(get_origin(hint) or hint, "__name__", "") == "UntypedStripeObject"


def _array(item: Check) -> Check:
    def check_array(raw: Raw, path: str) -> list[Any]:
        if isinstance(raw, dict):
            if not all(_INDEX.fullmatch(key) for key in raw):
                raise invalid("Invalid array", param=path)
            values = [raw[key] for key in sorted(raw, key=int)]
        elif isinstance(raw, list):
            values = raw
        else:
            raise invalid("Invalid array", param=path)
        return [item(value, f"{path}[{index}]") for index, value in enumerate(values)]

    return check_array
