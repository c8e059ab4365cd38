"""Routes that do an action of the table in `web/actions/`, which the console has too: one line of a table a route."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.web.actions import action_of
from billing_pipeline.web.actions.desk import Desk
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.changing import Done, Nothing, Reasoned
from billing_pipeline.web.api.permission import Books, allowed, signed

NO_REASON = "done over the API"
EXAMPLES: Mapping[str, str] = {
    "month": "2026-10",
    "invoice": "INV-00000001",
    "customer": "cust_focus",
    "note": "CN-00000001",
    "adjustment": "6f0d6c0a-7a3c-5f0e-9c53-0c8f1d8b1a11",
    "grant": "6f0d6c0a-7a3c-5f0e-9c53-0c8f1d8b1a11",
    "event": "evt_1",
    "settlement": "1",
    "dispute": "du_1",
    "refund": "re_1",
    "alert": "1",
    "notice": "1",
    "kind": "payment_succeeded",
}


async def _desk(request: Request, warehouse: Books) -> Desk:
    return Desk(warehouse, request.app.state.open_stripe)


AtDesk = Annotated[Desk, Depends(_desk)]
"""What an action works with."""


def do(desk: Desk, caller: Caller, kind: str, key: str, name: str, body: BaseModel) -> dict[str, Any]:
    """Do it in the caller's name, and show what was done.

    Raises:
        UserError: it is refused, in the words of the command.
    """
    fields = {field: _typed(value) for field, value in body.model_dump().items() if value is not None}
    done = action_of(kind, name).do(desk, key, signed(caller, fields.pop("reason", NO_REASON)), fields)
    return {"done": done.said, "result": dict(done.facts)}


def _typed(value: Any) -> str:
    """As a form has it."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def acts(
    router: APIRouter,
    path: str,
    kind: str,
    name: str,
    *,
    asks: type[BaseModel] | None = None,
) -> None:
    """Add `POST path`, which does an action to what the one parameter of the path names, if it has one."""
    action = action_of(kind, name)
    body_type: Any = asks or (Reasoned if action.asks_reason else Nothing)
    parameter = path.partition("{")[2].partition("}")[0]

    def on_nothing(
        request: Request, desk: AtDesk, caller: Annotated[Caller, allowed(action.scope)], body: body_type
    ) -> Response:
        return answer(request, do(desk, caller, kind, "", name, body))

    def on_one(
        request: Request,
        desk: AtDesk,
        caller: Annotated[Caller, allowed(action.scope)],
        body: body_type,
        key: Annotated[
            str,
            Path(
                alias=parameter, max_length=255, description=f"The {parameter}.", examples=[EXAMPLES.get(parameter, "")]
            ),
        ],
    ) -> Response:
        return answer(request, do(desk, caller, kind, key, name, body))

    router.add_api_route(
        path,
        on_one if parameter else on_nothing,
        methods=["POST"],
        name=f"{kind}_{name}".replace("-", "_"),
        summary=action.title,
        description=f"As the console's button and the command do it: {action.title.lower()}.",
        responses={200: {"model": Done}},
    )
