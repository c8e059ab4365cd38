"""Paying in the portal: Stripe's page of an invoice, another try with the saved method, and another method."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing_pipeline.charging.brakes import limits_of
from billing_pipeline.charging.customer_payments import TriedEnough, customer_of, pay_again, payment_methods_of
from billing_pipeline.charging.hosted_pages import invoice_page, payment_methods_page
from billing_pipeline.core.errors import UserError
from billing_pipeline.settings import load_settings
from billing_pipeline.stripe_gateway.hosted_pages import HostedInvoice
from billing_pipeline.web.pages.portal_pages import PortalPages, in_frame
from billing_pipeline.web.pages.sessions import Fields, Visitor


@dataclass(frozen=True, slots=True)
class Paying(PortalPages):
    """GET of Stripe's pages of an invoice only looks; whatever changes something is a form."""

    def pay(self, request: Request, visitor: Visitor) -> Response:
        """To Stripe's page, where the invoice can be paid."""
        return self._at_stripe(request, visitor, lambda hosted: hosted.url)

    def pdf(self, request: Request, visitor: Visitor) -> Response:
        """To Stripe's PDF of the invoice."""
        return self._at_stripe(request, visitor, lambda hosted: hosted.pdf_url)

    def retry(self, request: Request, visitor: Visitor, _: Fields) -> Response:
        """Try the default payment method again; the invoice's page then says what came of it."""
        number = request.path_params["number"]
        if not self.is_own(visitor, number):
            return self.not_found(request, visitor)
        try:
            with self.desk.stripe() as api:
                state = pay_again(
                    self.door.warehouse,
                    api,
                    self.customer_id(visitor),
                    number,
                    limits=limits_of(load_settings().charging),
                    log=lambda _: None,
                )
            said = {"paid": "thanks_paid", "refused": "refused_again"}.get(state, "payment_under_way")
        except TriedEnough:
            said = "tried_enough"
        except UserError:
            said = "not_now"
        return _to(f"/portal/invoices/{quote(number)}?said={said}")

    def methods(self, request: Request, visitor: Visitor) -> Response:
        """The payment methods that we know of."""
        rows = payment_methods_of(self.door.warehouse, self.customer_id(visitor))
        return self.page("portal/payment_methods.html", request, visitor, rows=rows)

    def change_method(self, request: Request, visitor: Visitor, _: Fields) -> Response:
        """To Stripe's page, where the default payment method is set."""
        customer_id = self.customer_id(visitor)
        back = f"{self.public_url}/portal/payment-methods?said=method_saved"
        try:
            with self.desk.stripe() as api:
                address = payment_methods_page(
                    self.door.warehouse, api, customer_id, customer_of(customer_id), return_url=back
                )
        except UserError:
            return _to("/portal/payment-methods?said=not_now")
        # A page of ours in between: browsers hold redirects of a form to the policy's form-action, which is us alone.
        return self.page("portal/to_stripe.html", request, visitor, address=address)

    def _at_stripe(
        self, request: Request, visitor: Visitor, address: Callable[[HostedInvoice], str | None]
    ) -> Response:
        number = request.path_params["number"]
        if not self.is_own(visitor, number):
            return self.not_found(request, visitor)
        try:
            with self.desk.stripe() as api:
                found = address(invoice_page(self.door.warehouse, api, number))
        except UserError:
            found = None
        if found and in_frame(request):  # Stripe lets nobody frame its pages: a link leads out of the frame
            return self.page("portal/to_stripe.html", request, visitor, address=found)
        return _to(found or f"/portal/invoices/{quote(number)}?said=not_now")


def _to(address: str) -> Response:
    return RedirectResponse(address, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
