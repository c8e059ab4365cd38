"""What a customer wants to be told: budgets of the running period, and kinds of mails."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.charging.customer_payments import customer_of
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.notices.budgets import list_budgets
from billing_pipeline.notices.choices import choosable_kinds, switch_off, switch_on
from billing_pipeline.notices.sending import wording_of
from billing_pipeline.pricing.reading import prices_of_customer
from billing_pipeline.settings import load_settings
from billing_pipeline.web.actions import action_of
from billing_pipeline.web.pages.portal_pages import PortalPages
from billing_pipeline.web.pages.sessions import Fields, Visitor


@dataclass(frozen=True, slots=True)
class Alerts(PortalPages):
    """The page of alerts, and its forms. The language of mails is on the page of billing details."""

    def alerts(self, request: Request, visitor: Visitor) -> Response:
        """Budgets, and which mails come."""
        return self._form(request, visitor)

    def set_budget(self, request: Request, visitor: Visitor, fields: Fields) -> Response:
        """Watch the amount or a meter, in place of the budget that did."""
        given = {name: fields.get(name, "") for name in ("meter", "limit", "thresholds_percent")}
        asked = {**given, ("quantity" if given["meter"] else "amount"): given["limit"]}
        return self._done(request, visitor, lambda by: self._act("set-budget", visitor, by, asked), given)

    def end_budget(self, request: Request, visitor: Visitor, fields: Fields) -> Response:
        """Watch it no more."""
        return self._done(request, visitor, lambda by: self._act("end-budget", visitor, by, fields))

    def mails(self, request: Request, visitor: Visitor, fields: Fields) -> Response:
        """Mail a kind no more, or again."""
        kind, customer_id = fields.get("kind", ""), self.customer_id(visitor)

        def change(by: Signature) -> None:
            if fields.get("wanted") == "yes":
                email = read_customer(self.door.warehouse, customer_id)["email"]
                switch_on(self.door.warehouse, kind, customer_id, by, email=email)
            else:
                switch_off(self.door.warehouse, kind, customer_id, by)

        return self._done(request, visitor, change)

    def _act(self, name: str, visitor: Visitor, by: Signature, fields: Fields) -> None:
        action_of("customers", name).do(self.desk, self.customer_id(visitor), by, fields)

    def _done(
        self,
        request: Request,
        visitor: Visitor,
        change: Callable[[Signature], None],
        given: dict[str, str] | None = None,
    ) -> Response:
        author = customer_of(self.customer_id(visitor)).author
        try:
            change(Signature(author, "changed in the portal"))
        except UserError:
            return self._form(request, visitor, given=given, status=409)
        return self._form(request, visitor, saved=True)

    def _form(
        self,
        request: Request,
        visitor: Visitor,
        *,
        given: dict[str, str] | None = None,
        status: int = 200,
        saved: bool = False,
    ) -> Response:
        warehouse, customer_id = self.door.warehouse, self.customer_id(visitor)
        currency = read_customer(warehouse, customer_id)["currency"]
        meters = dict.fromkeys(row["meter"] for row in prices_of_customer(warehouse, customer_id, currency))
        return self.page(
            "portal/alerts.html",
            request,
            visitor,
            status=status,
            given=given or {},
            saved=saved,
            budgets=list_budgets(warehouse, customer_id=customer_id),
            meters=list(meters),
            kinds=choosable_kinds(warehouse, customer_id),
            titles_in=wording_of(load_settings()).titles,
        )
