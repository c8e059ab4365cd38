"""The page in front of every change: what it will do, the reason, and afterwards the record of it."""

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.web.actions import action_of
from billing_pipeline.web.actions.desk import Desk
from billing_pipeline.web.pages.rendering import Reader, page
from billing_pipeline.web.pages.sessions import DoorOfPages, Visitor, read_form

NO_REASON = "done in the console"


@dataclass(frozen=True, slots=True)
class Changes:
    """GET shows what an action will do; POST does it."""

    door: DoorOfPages
    desk: Desk

    async def answer(self, request: Request) -> Response:
        """The form, or what came of it."""
        visitor = await run_in_threadpool(self.door.visitor, request)
        if visitor is None:
            return self.door.closed(request, "signed_out")
        kind, _, name = self._which(request)
        if not visitor.session.may_change:
            return self._failed(visitor, 403, "Your role may look at everything here and change nothing.")
        try:
            scope = action_of(kind, name).scope
        except NotFound as unknown:
            return self._failed(visitor, 404, str(unknown))
        if not visitor.session.may(scope):
            return self._failed(visitor, 403, f"Your role may not do that: it needs {scope}.")
        if request.method != "POST":
            return await run_in_threadpool(self._ask, request, visitor)
        fields = await read_form(request, visitor.csrf)
        if fields is None:
            return self._failed(
                visitor, 403, "The form did not come from this console. Nothing was changed: please open it again."
            )
        return await run_in_threadpool(self._do, request, visitor, fields)

    def _ask(
        self, request: Request, visitor: Visitor, *, given: dict[str, str] | None = None, error: str = ""
    ) -> Response:
        kind, key, name = self._which(request)
        try:
            action = action_of(kind, name)
            seen = action.seen(self.desk, key)  # before the words: what is said may be newer, and is then refused
            effect = action.effect(self.desk, key)
        except UserError as refused:
            return self._failed(visitor, 404, str(refused))
        return page(
            "console/change.html",
            Reader(),
            status=409 if error else 200,
            visitor=visitor,
            session=visitor.session,
            action=action,
            effect=effect,
            seen=seen,
            given=given or {},
            error=error,
            back=page_of(kind, key),
        )

    def _do(self, request: Request, visitor: Visitor, fields: dict[str, str]) -> Response:
        kind, key, name = self._which(request)
        try:
            action = action_of(kind, name)
            reason = fields.get("reason", "") if action.asks_reason else NO_REASON
            done = action.do(self.desk, key, Signature(visitor.session.owner, reason), fields)
        except UserError as refused:
            return self._ask(request, visitor, given=fields, error=str(refused))
        return page(
            "console/changed.html",
            Reader(),
            visitor=visitor,
            session=visitor.session,
            action=action,
            done=done.said,
            reason=reason,
            back=page_of(kind, key),
        )

    def _failed(self, visitor: Visitor, status: int, message: str) -> Response:
        return page(
            "console/message.html",
            Reader(),
            status=status,
            visitor=visitor,
            session=visitor.session,
            title="Not done",
            message=message,
        )

    def _which(self, request: Request) -> tuple[str, str, str]:
        given = request.path_params
        return given["kind"], given["key"], given["action"]


def page_of(kind: str, key: str) -> str:
    """Where what was changed is shown."""
    return _PAGES.get(kind, "/console/{kind}/{key}").format(kind=kind, key=key)


_PAGES = {
    "charging": "/console/charges",
    "charges": "/console/invoices/{key}",
    "settlements": "/console/corrections",
    "refunds": "/console/corrections",
    "disputes": "/console/corrections",
    "adjustments": "/console/corrections",
    "credit-notes": "/console/corrections",
    "credits": "/console/customers",
    "events": "/console/events",
    "alerts": "/console/health",
    "notices": "/console/health",
}
"""If that is not a page of its own kind."""
