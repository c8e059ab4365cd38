"""What every page of the portal has: the one customer of its session, their language and zone, and the frame around."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.customers.details import read_details
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.invoicing.reading import is_issued_to
from billing_pipeline.web.actions.desk import Desk
from billing_pipeline.web.pages.rendering import page
from billing_pipeline.web.pages.sessions import DoorOfPages, Visitor, reader_of


@dataclass(frozen=True, slots=True)
class PortalPages:
    """`public_url`: where browsers reach the pages, for the way back from Stripe's. `clock` says what time it is.

    `edits_details`: whether customers may change their address and tax id themselves.
    """

    door: DoorOfPages
    desk: Desk
    clock: Callable[[], datetime]
    public_url: str
    edits_details: bool

    def customer_id(self, visitor: Visitor) -> str:
        """The session's customer: nothing is read or changed for another."""
        return str(visitor.session.customer_id)

    def is_own(self, visitor: Visitor, number: str) -> bool:
        """Whether the customer has an invoice of this number."""
        return is_issued_to(self.door.warehouse, number, self.customer_id(visitor))

    def not_found(self, request: Request, visitor: Visitor) -> Response:
        """The page for what is not there, or not theirs."""
        return self.page("portal/not_found.html", request, visitor, status=404)

    def page(self, template: str, request: Request, visitor: Visitor, *, status: int = 200, **values: Any) -> Response:
        """The template in the customer's language and zone."""
        customer_id = self.customer_id(visitor)
        customer = read_customer(self.door.warehouse, customer_id)
        own_language = read_details(self.door.warehouse, customer_id)["language"]
        reader = reader_of(request, own_language, customer["timezone"])
        asked = request.query_params.get("lang")
        answer = page(
            template,
            reader,
            status=status,
            frame_ancestors=self.door.frame_ancestors,
            visitor=visitor,
            session=visitor.session,
            customer=customer,
            path=request.url.path,
            said=request.query_params.get("said"),
            in_frame=in_frame(request),
            **values,
        )
        if asked:
            self.door.set_cookie(answer, "billing_language", reader.language, self.door.root)
        return answer


def in_frame(request: Request) -> bool:
    """Whether the browser says that another page shows this one in a frame."""
    return request.headers.get("sec-fetch-dest") in ("iframe", "frame")
