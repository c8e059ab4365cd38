"""What customers change of their own in the portal: address, tax id, language."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.charging.customer_payments import customer_of
from billing_pipeline.core.countries import COUNTRIES
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.details import ADDRESS, change_details, read_details
from billing_pipeline.web.pages.portal_pages import PortalPages
from billing_pipeline.web.pages.sessions import Fields, Visitor
from billing_pipeline.web.pages.words import LANGUAGES

EDITABLE = (*ADDRESS, "tax_id")
AUTOCOMPLETE = {
    "address_line1": "address-line1", "address_line2": "address-line2", "postal_code": "postal-code",
    "city": "address-level2", "state": "address-level1",
}  # fmt: skip
"""What browsers call the fields, so that they fill them in."""


@dataclass(frozen=True, slots=True)
class Account(PortalPages):
    """The page of billing details, and its two forms."""

    def details(self, request: Request, visitor: Visitor) -> Response:
        """Address, tax id and language as they are."""
        return self._form(request, visitor)

    def change(self, request: Request, visitor: Visitor, fields: Fields) -> Response:
        """Write the address and the tax id; what was wrong is said beside what was typed."""
        given = {name: fields.get(name, "") for name in EDITABLE}
        if not self.edits_details:
            return self._form(request, visitor, status=403)
        try:
            self._write(visitor, given)
        except UserError:
            return self._form(request, visitor, given=given, status=409, wrong=True)
        return self._form(request, visitor, saved=True)

    def language(self, request: Request, visitor: Visitor, fields: Fields) -> Response:
        """Keep the language, for pages and mails."""
        if fields.get("language") in LANGUAGES:
            self._write(visitor, {"language": fields["language"]})
        return self._form(request, visitor, saved=True)

    def _write(self, visitor: Visitor, given: dict[str, str]) -> None:
        customer_id = self.customer_id(visitor)
        signature = Signature(customer_of(customer_id).author, "changed in the portal")
        change_details(self.door.warehouse, customer_id, given, signature)

    def _form(
        self,
        request: Request,
        visitor: Visitor,
        *,
        given: dict[str, str] | None = None,
        status: int = 200,
        wrong: bool = False,
        saved: bool = False,
    ) -> Response:
        known = read_details(self.door.warehouse, self.customer_id(visitor))
        return self.page(
            "portal/account.html",
            request,
            visitor,
            status=status,
            known=known,
            given=given or {},
            fields=EDITABLE,
            codes=COUNTRIES,
            autocomplete=AUTOCOMPLETE,
            edits=self.edits_details,
            wrong=wrong,
            saved=saved,
        )
