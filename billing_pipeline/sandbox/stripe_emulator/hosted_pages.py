"""The pages that Stripe would host: saving a payment method, paying an invoice, and the portal.

Plain HTML forms without script. Instead of a card number one chooses how payments are to end.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from . import billing_portal, checkout_sessions, clock, collection, payment_methods, setup_intents
from .database import transaction
from .delivery import Courier
from .errors import StripeError, invalid
from .indexing import Body
from .ready_made_methods import KINDS, new_method
from .store import Store
from .work import Work

Finish = Callable[[Work, Body, Body], Body]
PAYABLE = frozenset({"open", "uncollectible"})


def _pay(work: Work, invoice: Body, method: Body) -> Body:
    """The customer pays an open invoice with this payment method, which is kept."""
    if invoice["status"] not in PAYABLE:
        raise invalid(f"This invoice is {invoice['status']}.")
    attached = payment_methods.attach_to(work, method, invoice["customer"])
    return collection.attempt(work, invoice, attached["id"], off_session=False)


PAGES: dict[str, tuple[str, Finish]] = {
    "checkout": ("checkout.session", checkout_sessions.complete),
    "setup_intent": ("setup_intent", setup_intents.complete),
    "invoice": ("invoice", _pay),
    "portal": ("billing_portal.session", billing_portal.set_payment_method),
}


class HostedPages:
    """The handlers, bound to one emulator."""

    def __init__(self, store: Store, courier: Courier) -> None:
        self._store = store
        self._courier = courier

    def routes(self) -> list[Route]:
        """Starlette routes, to be mounted under ``/hosted``."""
        return [
            Route("/{page}/{object_id}", self.show, methods=["GET"]),
            Route("/{page}/{object_id}", self.submit, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The form."""
        try:
            _, body, _ = self._find(request)
        except StripeError as error:
            return _html("Not found", f"<p>{escape(str(error))}</p>", error.status)
        return self._form(request, body, "")

    async def submit(self, request: Request) -> Response:
        """Save the chosen payment method; a refusal shows the form again with Stripe's words."""
        fields = parse_qs((await request.body()).decode())
        try:
            with transaction(self._store.connection):
                work, body, finish = self._find(request)
                try:
                    finish(work, body, new_method(work, fields.get("kind", ["good"])[0], None))
                    problem = ""
                except StripeError as refusal:
                    if not refusal.keep_effects:
                        raise
                    problem = str(refusal)
        except StripeError as error:
            return _html("Not possible", f"<p>{escape(str(error))}</p>", error.status)
        self._courier.wake()
        if problem:
            return self._form(request, body, problem)
        back = body.get("success_url") or body.get("return_url")
        if back:
            return RedirectResponse(back.replace("{CHECKOUT_SESSION_ID}", body["id"]), 303)
        if body["object"] == "invoice":
            return _html("Thank you", "<p>The payment is on its way.</p>")
        return _html("Saved", "<p>The payment method is saved.</p>")

    def _find(self, request: Request) -> tuple[Work, Body, Finish]:
        work = Work(self._store, int(clock.now(self._store.connection)))
        page, object_id = request.path_params["page"], request.path_params["object_id"]
        if page not in PAGES:
            raise StripeError(404, "invalid_request_error", f"There is no page {page}.")
        kind, finish = PAGES[page]
        body = work.store.get(kind, object_id)
        if kind == "checkout.session" and body["status"] != "open":
            raise invalid(f"This Checkout Session is {body['status']}.")
        if kind == "setup_intent" and body["status"] not in setup_intents.CONFIRMABLE:
            raise invalid(f"This SetupIntent is {body['status']}.")
        return work, body, finish

    def _form(self, request: Request, body: Body, problem: str) -> Response:
        shown = ""
        if body["object"] == "billing_portal.session":
            shown = self._invoices(body["customer"])
        if body["object"] == "invoice":
            due = f"{body['amount_remaining']} {body['currency']} (minor units)"
            shown = f"<p>{escape(body['number'])} is {body['status']}, {due} are due.</p>"
            if body["status"] not in PAYABLE:
                return _html("Invoice", shown)
        options = "".join(f'<option value="{kind}">{escape(text)}</option>' for kind, text in KINDS.items())
        alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
        cancel = body.get("cancel_url") or body.get("return_url")
        back = f'<p><a href="{escape(cancel)}">Back</a></p>' if cancel else ""
        button = "Pay" if body["object"] == "invoice" else "Save"
        form = (
            f'{alert}<form method="post" action="{escape(request.url.path)}">'
            f'<label>Payment method <select name="kind">{options}</select></label> '
            f"<button>{button}</button></form>{back}"
        )
        return _html("Payment method", shown + form, 402 if problem else 200)

    def _invoices(self, customer: str) -> str:
        rows = "".join(
            f"<tr><td>{escape(invoice['number'])}</td><td>{invoice['status']}</td>"
            f"<td>{invoice['total']} {invoice['currency']} (minor units)</td></tr>"
            for invoice in self._store.find("invoice", ("customer = ?", customer), ("status <> ?", "draft"))
        )
        return f"<h2>Invoices</h2><table>{rows}</table>"


def _html(title: str, content: str, status: int = 200) -> HTMLResponse:
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><h1>{title}</h1><p>Stripe emulator: no money moves here.</p>{content}</body></html>"
    )
    return HTMLResponse(page, status)
