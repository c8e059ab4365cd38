"""What operators are told of."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.notices.alerts import describe_alert, list_alerts
from billing_pipeline.web.actions.operating import alert_number
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.corrections import Alert
from billing_pipeline.web.api.parameters import AlertPath
from billing_pipeline.web.api.permission import Books, allowed
from billing_pipeline.web.api.routes.listing import lists

router = APIRouter(tags=["alerts"])
lists(
    router,
    "/alerts",
    lambda books, _, every, after, limit: list_alerts(books, over=every, after=after, limit=limit),
    Scope.READ_SETUP,
    "alert_id",
    int,
    "billing alerts list",
)


@router.get("/alerts/{alert}", summary="Show an alert", responses={200: {"model": Alert}})
def show(
    request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_SETUP)], alert: AlertPath
) -> Response:
    """What is wrong, and what helps."""
    return answer(request, {"alert": describe_alert(warehouse, alert_number(alert))})
