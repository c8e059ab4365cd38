"""Changes that are one action of the table each."""

from fastapi import APIRouter

from billing_pipeline.web.api.models import correcting, customer_changes, telling
from billing_pipeline.web.api.routes.acting import acts

invoices = APIRouter(tags=["invoices"])
acts(
    invoices,
    "/invoices/{invoice}/credit-notes",
    "invoices",
    "credit",
    asks=correcting.CreditNoteAsked,
)
acts(
    invoices,
    "/invoices/{invoice}/return-credits",
    "invoices",
    "return-credits",
    asks=correcting.AmountLeft,
)
acts(invoices, "/credit-notes/{note}/retry", "credit-notes", "retry")
acts(invoices, "/credit-notes/{note}/drop", "credit-notes", "drop")
acts(invoices, "/adjustments/{adjustment}/revoke", "adjustments", "revoke")

customers = APIRouter(tags=["customers"])
acts(customers, "/customers/{customer}/hold", "customers", "hold")
acts(customers, "/customers/{customer}/release", "customers", "release")
acts(
    customers,
    "/customers/{customer}/adjustments",
    "customers",
    "adjust",
    asks=correcting.AdjustmentAsked,
)
acts(
    customers,
    "/customers/{customer}/credits",
    "customers",
    "grant-credits",
    asks=customer_changes.CreditsAsked,
)
acts(
    customers,
    "/customers/{customer}/coupons",
    "customers",
    "grant-coupon",
    asks=customer_changes.CouponGrantAsked,
)
acts(
    customers,
    "/customers/{customer}/coupons/end",
    "customers",
    "end-coupon",
    asks=customer_changes.CouponEnd,
)
acts(
    customers,
    "/customers/{customer}/relink",
    "customers",
    "relink",
    asks=customer_changes.RelinkAsked,
)
acts(customers, "/credits/{grant}/void", "credits", "void")

months = APIRouter(tags=["months"])
acts(months, "/months/{month}/draft", "months", "draft")
acts(months, "/months/{month}/charge", "months", "charge")
acts(months, "/months/{month}/approve", "months", "approve", asks=correcting.Approval)
acts(months, "/months/{month}/hold", "months", "hold")
acts(months, "/months/{month}/release", "months", "release")
acts(months, "/months/{month}/release-canaries", "months", "release-canaries")
acts(months, "/months/{month}/settlements", "months", "propose-settlements")
acts(months, "/months/{month}/close", "months", "close")
acts(months, "/settlements/run", "settlements", "run")
acts(months, "/settlements/policy", "settlements", "policy", asks=correcting.SettlementPolicyAsked)
acts(months, "/settlements/{settlement}/approve", "settlements", "approve")
acts(months, "/settlements/{settlement}/withdraw", "settlements", "withdraw")

charges = APIRouter(tags=["charges"])
acts(charges, "/charges/pause", "charging", "pause")
acts(charges, "/charges/resume", "charging", "resume")
acts(charges, "/charges/{invoice}/retry", "invoices", "retry")

acts(charges, "/charges/{invoice}/adopt", "charges", "adopt", asks=correcting.AdoptionAsked)
acts(charges, "/charges/{invoice}/adopt-revision", "charges", "adopt-revision")
for _decision in ("accept", "write-off", "collect-again"):
    acts(charges, f"/disputes/{{dispute}}/{_decision}", "disputes", _decision)
acts(charges, "/refunds/{refund}/repay", "refunds", "repay", asks=correcting.RepaymentAsked)

alerts = APIRouter(tags=["alerts"])
acts(alerts, "/alerts/{alert}/acknowledge", "alerts", "acknowledge")

notices = APIRouter(tags=["notices"])
acts(notices, "/notices/hold", "notices", "hold", asks=telling.HeldAsked)
acts(notices, "/notices/release", "notices", "release", asks=telling.HeldAsked)
acts(notices, "/notices/{notice}/resend", "notices", "resend")
acts(notices, "/notices/kinds/{kind}/off", "notices", "off")
acts(notices, "/notices/kinds/{kind}/on", "notices", "on")
acts(notices, "/notices/hours", "notices", "hours", asks=telling.HoursAsked)
acts(notices, "/notices/hours/end", "notices", "usual-hours")
acts(notices, "/bounces/end", "notices", "takes-mail", asks=telling.AddressAsked)
for _path, _name, _asks in (
    ("addresses", "add-address", telling.FurtherAddressAsked),
    ("addresses/end", "end-address", telling.AddressAsked),
    ("notices/off", "notices-off", telling.KindAsked),
    ("notices/on", "notices-on", telling.KindAsked),
    ("notices/hours", "notice-hours", telling.CustomerHoursAsked),
    ("notices/hours/end", "usual-notice-hours", telling.HoursEnd),
):
    acts(notices, f"/customers/{{customer}}/{_path}", "customers", _name, asks=_asks)
acts(notices, "/customers/{customer}/promise", "customers", "promise", asks=telling.PromiseAsked)

stripe = APIRouter(tags=["stripe"])
acts(stripe, "/events/{event}/replay", "events", "replay")

ROUTERS = (invoices, customers, months, charges, alerts, notices, stripe)
