"""Changes that are one action of the table each."""

from fastapi import APIRouter

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.web.api.models import correcting, customer_changes, telling
from billing_pipeline.web.api.routes.acting import acts

invoices = APIRouter(tags=["invoices"])
acts(
    invoices,
    "/invoices/{invoice}/credit-notes",
    "invoices",
    "credit",
    Scope.CHANGE_INVOICES,
    asks=correcting.CreditNoteAsked,
)
acts(
    invoices,
    "/invoices/{invoice}/return-credits",
    "invoices",
    "return-credits",
    Scope.CHANGE_INVOICES,
    asks=correcting.AmountLeft,
)
acts(invoices, "/credit-notes/{note}/retry", "credit-notes", "retry", Scope.CHANGE_INVOICES)
acts(invoices, "/credit-notes/{note}/drop", "credit-notes", "drop", Scope.CHANGE_INVOICES)
acts(invoices, "/adjustments/{adjustment}/revoke", "adjustments", "revoke", Scope.CHANGE_INVOICES)

customers = APIRouter(tags=["customers"])
acts(customers, "/customers/{customer}/hold", "customers", "hold", Scope.CHANGE_INVOICES)
acts(customers, "/customers/{customer}/release", "customers", "release", Scope.CHANGE_INVOICES)
acts(
    customers,
    "/customers/{customer}/adjustments",
    "customers",
    "adjust",
    Scope.CHANGE_INVOICES,
    asks=correcting.AdjustmentAsked,
)
acts(
    customers,
    "/customers/{customer}/credits",
    "customers",
    "grant-credits",
    Scope.CHANGE_INVOICES,
    asks=customer_changes.CreditsAsked,
)
acts(
    customers,
    "/customers/{customer}/coupons",
    "customers",
    "grant-coupon",
    Scope.CHANGE_INVOICES,
    asks=customer_changes.CouponGrantAsked,
)
acts(
    customers,
    "/customers/{customer}/coupons/end",
    "customers",
    "end-coupon",
    Scope.CHANGE_INVOICES,
    asks=customer_changes.CouponEnd,
)
acts(
    customers,
    "/customers/{customer}/relink",
    "customers",
    "relink",
    Scope.CHANGE_STRIPE,
    asks=customer_changes.RelinkAsked,
)
acts(customers, "/credits/{grant}/void", "credits", "void", Scope.CHANGE_INVOICES)

months = APIRouter(tags=["months"])
acts(months, "/months/{month}/draft", "months", "draft", Scope.CHANGE_MONTHS)
acts(months, "/months/{month}/charge", "months", "charge", Scope.CHANGE_STRIPE)
acts(months, "/months/{month}/approve", "months", "approve", Scope.CHANGE_MONTHS, asks=correcting.Approval)
acts(months, "/months/{month}/hold", "months", "hold", Scope.CHANGE_MONTHS)
acts(months, "/months/{month}/release", "months", "release", Scope.CHANGE_MONTHS)
acts(months, "/months/{month}/release-canaries", "months", "release-canaries", Scope.CHANGE_MONTHS)
acts(months, "/months/{month}/settlements", "months", "propose-settlements", Scope.CHANGE_MONTHS)
acts(months, "/months/{month}/close", "months", "close", Scope.CHANGE_MONTHS)
acts(months, "/settlements/run", "settlements", "run", Scope.CHANGE_STRIPE)
acts(months, "/settlements/policy", "settlements", "policy", Scope.CHANGE_PRICES, asks=correcting.SettlementPolicyAsked)
acts(months, "/settlements/{settlement}/approve", "settlements", "approve", Scope.CHANGE_MONTHS)
acts(months, "/settlements/{settlement}/withdraw", "settlements", "withdraw", Scope.CHANGE_MONTHS)

charges = APIRouter(tags=["charges"])
acts(charges, "/charges/pause", "charging", "pause", Scope.CHANGE_STRIPE)
acts(charges, "/charges/resume", "charging", "resume", Scope.CHANGE_STRIPE)
acts(charges, "/charges/{invoice}/retry", "invoices", "retry", Scope.CHANGE_STRIPE)

acts(charges, "/charges/{invoice}/adopt", "charges", "adopt", Scope.CHANGE_STRIPE, asks=correcting.AdoptionAsked)
acts(charges, "/charges/{invoice}/adopt-revision", "charges", "adopt-revision", Scope.CHANGE_STRIPE)
for _decision in ("accept", "write-off", "collect-again"):
    acts(charges, f"/disputes/{{dispute}}/{_decision}", "disputes", _decision, Scope.CHANGE_STRIPE)
acts(charges, "/refunds/{refund}/repay", "refunds", "repay", Scope.CHANGE_STRIPE, asks=correcting.RepaymentAsked)

alerts = APIRouter(tags=["alerts"])
acts(alerts, "/alerts/{alert}/acknowledge", "alerts", "acknowledge", Scope.CHANGE_MONTHS)

notices = APIRouter(tags=["notices"])
acts(notices, "/notices/hold", "notices", "hold", Scope.CHANGE_INVOICES, asks=telling.HeldAsked)
acts(notices, "/notices/release", "notices", "release", Scope.CHANGE_INVOICES, asks=telling.HeldAsked)
acts(notices, "/notices/{notice}/resend", "notices", "resend", Scope.CHANGE_INVOICES)
acts(notices, "/notices/kinds/{kind}/off", "notices", "off", Scope.CHANGE_INVOICES)
acts(notices, "/notices/kinds/{kind}/on", "notices", "on", Scope.CHANGE_INVOICES)
acts(notices, "/bounces/end", "notices", "takes-mail", Scope.CHANGE_CUSTOMERS, asks=telling.AddressAsked)
for _path, _name, _asks in (
    ("addresses", "add-address", telling.FurtherAddressAsked),
    ("addresses/end", "end-address", telling.AddressAsked),
    ("notices/off", "notices-off", telling.KindAsked),
    ("notices/on", "notices-on", telling.KindAsked),
):
    acts(notices, f"/customers/{{customer}}/{_path}", "customers", _name, Scope.CHANGE_CUSTOMERS, asks=_asks)
acts(notices, "/customers/{customer}/promise", "customers", "promise", Scope.CHANGE_INVOICES, asks=telling.PromiseAsked)

stripe = APIRouter(tags=["stripe"])
acts(stripe, "/events/{event}/replay", "events", "replay", Scope.CHANGE_STRIPE)

ROUTERS = (invoices, customers, months, charges, alerts, notices, stripe)
