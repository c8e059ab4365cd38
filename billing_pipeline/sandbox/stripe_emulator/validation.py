"""Requests are checked against the installed SDK's own parameter types.

`checker` compiles a ``stripe.params`` TypedDict once into nested functions that turn the strings of a form
into int, bool, Decimal, list and dict, and refuse what Stripe refuses: unknown names, wrong types, missing
parameters, unknown enum values. The only module of the emulator that imports stripe. Rules that need state
(does the customer exist?) belong to the operations.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
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

from .errors import StripeError, invalid, unsupported
from .forms import Raw

Check = Callable[[Raw, str], Any]

_NAMES = {"StripeContext": object, "Mapping": Mapping, "Dict": Dict, "List": List}  # noqa: UP006
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_INDEX = re.compile(r"\d{1,6}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,20}(\.\d+)?", re.ASCII)
DECIMAL_PLACES_MAX = 12
METADATA_KEYS_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX = 50, 40, 500
STRING_MAX = 5_000


@cache
def checker(params: str) -> Check:
    """The checker of ``stripe.params.<params>`` with dots for the SDK's folders.

    Raises AttributeError if this SDK has no such type.
    """
    return _object(attrgetter(params)(stripe.params))


def parameter_names(params: str) -> frozenset[str]:
    """The names that the SDK's type allows, without the SDK's own request options."""
    return frozenset(attrgetter(params)(stripe.params).__annotations__) - frozenset(RequestOptions.__annotations__)


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
        name: _metadata if name in {"metadata", "invoice_metadata"} else _lazy(_bare(hint))
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
        return _enum([str(value) for value in args])
    if origin is list:
        return _array(_lazy(args[0]))
    if origin is dict:
        return _hash
    if is_typeddict(hint):
        return _object(hint)
    scalars: dict[Any, Check] = {
        str: _string,
        int: _integer,
        bool: _boolean,
        Decimal: _decimal,
        float: _float,
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
        scalars = [_enum(literals)]

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


def _hash(raw: Raw, path: str) -> dict[str, str]:
    if not isinstance(raw, dict):
        raise invalid("Invalid hash", param=path)
    return {key: _string(value, f"{path}[{key}]") for key, value in raw.items()}


def _metadata(raw: Raw, path: str) -> dict[str, str] | Literal[""]:
    """Limits of https://docs.stripe.com/api/metadata; unsetting happens where the old metadata is known."""
    if raw == "":
        return ""
    values = _hash(raw, path)
    if len(values) > METADATA_KEYS_MAX:
        raise invalid(f"Metadata can have at most {METADATA_KEYS_MAX} keys.", param=path)
    for key, value in values.items():
        if len(key) > METADATA_KEY_MAX:
            raise invalid(
                f"Metadata keys must be at most {METADATA_KEY_MAX} characters. '{key}' has {len(key)}.",
                param=path,
            )
        if len(value) > METADATA_VALUE_MAX:
            raise invalid(
                f"Metadata values can have up to {METADATA_VALUE_MAX} characters, but you passed in a "
                f"value that is {len(value)} characters. Invalid value: {value}",
                param=f"{path}[{key}]",
            )
    return values


def _string(raw: Raw, path: str) -> str:
    if not isinstance(raw, str):
        raise invalid("Invalid string", param=path)
    if len(raw) > STRING_MAX:
        raise invalid(f"Invalid string: must be at most {STRING_MAX} characters", param=path)
    return raw


def _not_empty(raw: Raw, path: str, kind: str) -> str:
    if not isinstance(raw, str):
        raise invalid(f"Invalid {kind}", param=path)
    if raw == "":
        raise invalid(
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a "
            f"parameter; however '{path}' cannot be unset. You should remove '{path}' from your request or "
            "supply a non-empty value.",
            code="parameter_invalid_empty",
            param=path,
        )
    return raw


def _enum(values: list[str]) -> Check:
    def check_enum(raw: Raw, path: str) -> str:
        text = _not_empty(raw, path, "string")
        if text not in values:
            allowed = " or ".join([", ".join(values[:-1]), values[-1]]) if len(values) > 1 else values[0]
            raise invalid(f"Invalid {path}: must be one of {allowed}", param=path)
        return text

    return check_enum


def _integer(raw: Raw, path: str) -> int:
    text = _not_empty(raw, path, "integer")
    if not _INTEGER.fullmatch(text):
        raise invalid(f"Invalid integer: {text}", code="parameter_invalid_integer", param=path)
    return int(text)


def _boolean(raw: Raw, path: str) -> bool:
    text = _not_empty(raw, path, "boolean")
    if text not in {"true", "false"}:
        raise invalid(f"Invalid boolean: {text}", param=path)
    return text == "true"


def _decimal(raw: Raw, path: str) -> Decimal:
    text = _not_empty(raw, path, "decimal")
    if not _DECIMAL.fullmatch(text):
        raise invalid(f"Invalid decimal: {text}; must contain only digits and at most one point", param=path)
    if len(text.partition(".")[2]) > DECIMAL_PLACES_MAX:
        raise invalid(
            f"Invalid decimal: {text}; must contain at maximum {DECIMAL_PLACES_MAX} decimal places.",
            param=path,
        )
    return Decimal(text)


def _float(raw: Raw, path: str) -> float:
    return float(_decimal(raw, path))
