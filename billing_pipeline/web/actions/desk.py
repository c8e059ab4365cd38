"""What an action is, and what it works with."""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.money import parse_minor
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import shown
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway

Fields = Mapping[str, str]
"""What was typed or sent beside the reason, as texts. What was left out or blank is not in it, or blank."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What an action works with. `stripe` opens the gateway for as long as the block takes."""

    warehouse: Warehouse
    stripe: Callable[[], AbstractContextManager[StripeGateway]]


@dataclass(frozen=True, slots=True)
class Field:
    """Something that the form asks for. `choices`: value and label; none: free text."""

    name: str
    label: str
    required: bool = True
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: in words for people, and as facts for programs (`core/shapes.py` says how they are written)."""

    said: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Do = Callable[[Desk, str, Signature, Fields], Done]


@dataclass(frozen=True, slots=True)
class Action:
    """`effect` says what will happen, with amounts; `do` does it to what the key names.

    `seen` is what the form carries along: the state that the person looked at, so that nothing else is signed.
    `scope` is what somebody needs to do it, in the console as over the API.
    """

    title: str
    effect: Callable[[Desk, str], str]
    do: Do
    fields: tuple[Field, ...] = field(default=())
    asks_reason: bool = True
    seen: Callable[[Desk, str], Fields] = lambda *_: {}
    scope: Scope = Scope.CHANGE_INVOICES


AMOUNT = Field("amount", "Amount, such as 12.50")
ON = Field("on", "Day in the customer's zone, such as 2026-10-20")


def whole(name: str, text: str) -> int:
    """A whole number as a form or a program sends it.

    Raises:
        UserError: it is none.
    """
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise UserError(f'{name} "{shown(text)}": expected a whole number')
    return int(text)


def number_in_path(what: str, key: str, command: str) -> int:
    """The number of a settlement or an alert that a path names; `command` lists those that there are.

    Raises:
        NotFound: it is none.
    """
    if not key.isascii() or not key.isdigit() or len(key) > 18:
        raise NotFound(f'{what} "{key}": expected a number of `{command}`, found none')
    return int(key)


def given_amount(fields: Fields, currency: str) -> int | None:
    """The amount in minor units: `amount_minor` as programs send it, or `amount` as people type it; None: neither.

    Raises:
        UserError: it is no amount of this currency.
    """
    if fields.get("amount_minor"):
        return whole("amount_minor", fields["amount_minor"])
    if not fields.get("amount"):
        return None
    try:
        return parse_minor(fields["amount"], currency)
    except ValueError as error:
        raise UserError(f"amount {error}") from None


def needed_amount(fields: Fields, currency: str) -> int:
    """The same, where there must be one.

    Raises:
        UserError: there is none.
    """
    found = given_amount(fields, currency)
    if found is None:
        raise UserError("amount: expected one such as 12.50")
    return found


def given_day(fields: Fields, name: str) -> date | None:
    """A day; None: it was left out.

    Raises:
        UserError: it is no day.
    """
    if not fields.get(name):
        return None
    try:
        return date.fromisoformat(fields[name])
    except ValueError:
        raise UserError(f'{name} "{fields[name]}": expected a day such as 2026-10-31') from None


def needed_day(fields: Fields, name: str) -> date:
    """The same, where there must be one.

    Raises:
        UserError: it is no day.
    """
    found = given_day(fields, name)
    if found is None:
        raise UserError(f"{name}: expected a day such as 2026-10-31")
    return found
