"""What a route asks of a token: a scope, and whether customers may come, who then see their own rows alone."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from billing_pipeline.access.rules.permissions import Role, Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.core.errors import NotFound
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse


class Allowed:
    """The dependency of a route: the caller, who has the scope."""

    def __init__(self, scope: Scope, *, customers: bool = False) -> None:
        self.scope = scope
        self.customers = customers

    async def __call__(self, request: Request) -> Caller:
        """The same, as FastAPI asks."""
        return self.caller(request)

    def caller(self, request: Request) -> Caller:
        """The caller.

        Raises:
            HTTPException: 403, it may not do that.
        """
        caller: Caller = request.state.caller
        if not caller.may(self.scope) or (caller.role is Role.CUSTOMER and not self.customers):
            raise HTTPException(403, f"this token may not do that: it needs the scope {self.scope}" + self._but())
        return caller

    def _but(self) -> str:
        return "" if self.customers else " and another role than customer"


def allowed(scope: Scope, *, customers: bool = False) -> "Callable[..., Caller]":
    """How a route takes its caller, who has the scope: the second part of an Annotated[Caller, …]."""
    return Depends(Allowed(scope, customers=customers))  # type: ignore[no-any-return]


async def _books(request: Request) -> Warehouse:
    # not a plain function: FastAPI would send each request through another thread for it
    warehouse: Warehouse = request.state.warehouse
    return warehouse


Books = Annotated[Warehouse, Depends(_books)]
"""The billing database."""


def own_customer(caller: Caller, wanted: str | None) -> str | None:
    """The customer whose rows are asked for; a customer's token asks for its own alone.

    Raises:
        NotFound: it asks for another's, of whom it learns nothing.
    """
    if caller.customer_id is None:
        return wanted
    if wanted not in (None, caller.customer_id):
        raise NotFound(f'customer "{wanted}": expected the id of a customer, found none')
    return caller.customer_id


def signed(caller: Caller, reason: str) -> Signature:
    """The signature of a change: its author is the token's owner."""
    return Signature(caller.owner, reason)
