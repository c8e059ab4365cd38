"""What each role may do: the one table that tokens are made by and routes ask.

A scope is a subject and whether it is read or changed. A role has scopes that its tokens get by default, and may be
granted a few more, by name. `personal` shows who somebody is: names, e-mail addresses, what Stripe calls them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from billing_pipeline.core.errors import UserError


class Scope(StrEnum):
    """One thing that a token may do."""

    READ_INVOICES = "invoices:read"
    CHANGE_INVOICES = "invoices:write"
    READ_USAGE = "usage:read"
    CHANGE_USAGE = "usage:write"
    READ_CUSTOMERS = "customers:read"
    CHANGE_CUSTOMERS = "customers:write"
    SUBSCRIBE = "subscriptions:write"
    PAY = "payments:write"
    CHANGE_BUDGETS = "budgets:write"
    NOTE_BOUNCES = "bounces:write"
    READ_MONTHS = "months:read"
    CHANGE_MONTHS = "months:write"
    READ_PRICES = "prices:read"
    CHANGE_PRICES = "prices:write"
    READ_STRIPE = "stripe:read"
    CHANGE_STRIPE = "stripe:write"
    READ_LOG = "log:read"
    READ_SETUP = "setup:read"
    CHANGE_SETUP = "setup:write"
    TOKENS = "tokens"
    PERSONAL = "personal"


class Role(StrEnum):
    """Whom a token is for."""

    ADMIN = "admin"
    OPERATOR = "operator"
    ANALYST = "analyst"
    PLATFORM = "platform"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Rights:
    """The scopes that a role's tokens have by default, and those that may be granted to one of them as well."""

    default: frozenset[Scope]
    grantable: frozenset[Scope] = frozenset()

    @property
    def all(self) -> frozenset[Scope]:
        """All that a token of the role may have."""
        return self.default | self.grantable


_ALL = frozenset(Scope)
_READS = frozenset(scope for scope in Scope if scope.endswith(":read"))

RIGHTS: Mapping[Role, Rights] = {
    Role.ADMIN: Rights(_ALL),
    Role.OPERATOR: Rights(_ALL - {Scope.TOKENS, Scope.CHANGE_PRICES, Scope.CHANGE_SETUP}),
    Role.ANALYST: Rights(_READS, frozenset({Scope.PERSONAL})),
    Role.PLATFORM: Rights(
        frozenset(
            {
                Scope.READ_USAGE,
                Scope.CHANGE_USAGE,
                Scope.READ_CUSTOMERS,
                Scope.CHANGE_CUSTOMERS,
                Scope.SUBSCRIBE,
                Scope.CHANGE_BUDGETS,
                Scope.NOTE_BOUNCES,
                Scope.READ_PRICES,
                Scope.PERSONAL,
            }
        ),
        frozenset({Scope.READ_INVOICES, Scope.PAY}),
    ),
    Role.CUSTOMER: Rights(
        frozenset(
            {
                Scope.READ_INVOICES,
                Scope.READ_USAGE,
                Scope.READ_CUSTOMERS,
                Scope.SUBSCRIBE,
                Scope.PAY,
                Scope.CHANGE_BUDGETS,
                Scope.PERSONAL,
            }
        )
    ),
}


def granted(role: Role, wanted: Collection[str]) -> frozenset[Scope]:
    """The scopes of a new token: the role's own, or those that were asked for.

    Raises:
        UserError: there is no such scope, or the role cannot have it.
    """
    if not wanted:
        return RIGHTS[role].default
    allowed = RIGHTS[role].all
    for name in wanted:
        if name not in allowed:
            raise UserError(f'scope "{name}": expected one that {role} may have: {", ".join(sorted(allowed))}')
    return frozenset(Scope(name) for name in wanted)
