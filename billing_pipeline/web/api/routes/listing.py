"""Routes that list what a room reads, of all customers or of one, in pages: one line of a table a route."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.api.answers import answer, without_personal
from billing_pipeline.web.api.fields import listed_as
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.parameters import CustomerQuery
from billing_pipeline.web.api.permission import Books, allowed

Read = Callable[[Warehouse, str | None, bool, Any, int], list[dict[str, Any]]]
"""Rows of a customer or of all, with those that are over or without, after a key, at most so many."""
Every = Annotated[bool, Query(alias="all", description="Also what is over, used up or settled.", examples=[False])]


def lists(
    router: APIRouter, path: str, read: Read, scope: Scope, key: str, read_key: Callable[[str], Any], command: str
) -> None:
    """Add `GET path`, whose rows are those of the command's --json. `key` orders them, and `read_key` is its type."""
    name = path.removeprefix("/").replace("-", "_")

    def list_(
        request: Request,
        warehouse: Books,
        caller: Annotated[Caller, allowed(scope)],
        customer: CustomerQuery = None,
        every: Every = False,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        (after,) = read_cursor(cursor, read_key)
        rows = read(warehouse, customer, every, after, limit + 1)
        return answer(request, page(without_personal(caller, rows), limit, key).named(name))

    router.add_api_route(
        path,
        list_,
        methods=["GET"],
        name=f"{name}_list",
        summary=f"List {name.replace('_', ' ')}",
        description=f"The rows of `{command} --json`, in its order.",
        responses={200: {"model": listed_as(name, command)}},
    )
