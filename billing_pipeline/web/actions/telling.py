"""What is done about notices, about who is told what, and about a customer's promise to pay."""

import re
from datetime import UTC, datetime, time

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import shown
from billing_pipeline.notices.addresses import add_address, forget_bounce, remove_address
from billing_pipeline.notices.choices import switch_off, switch_on
from billing_pipeline.notices.dunning import promise
from billing_pipeline.notices.holding import Held, hold_notices, release_notices
from billing_pipeline.notices.mail_hours import choose_hours, give_hours_up
from billing_pipeline.notices.resending import resend
from billing_pipeline.notices.rules.sending import Hours
from billing_pipeline.web.actions.contracts import customer_in_words
from billing_pipeline.web.actions.desk import Action, Desk, Done, Field, Fields, needed_day

HELD = (
    Field("notice", "One notice, by its number", required=False),
    Field("customer", "Or all of a customer", required=False),
    Field("kind", "Or all of a kind", required=False),
    Field("all", "Or all", required=False, choices=(("", "no"), ("True", "yes"))),
)
OWN_ADDRESS = Field("address", "Only of this address; blank: of all", required=False)
HOURS = (
    Field("begins", "Not before, such as 08:00, in the customer's zone"),
    Field("ends", "Before, such as 18:00, an hour later or more"),
    Field("weekends", "Also on weekends", required=False, choices=(("", "no"), ("True", "yes"))),
)
ADDRESS, KIND = Field("address", "Mail address"), Field("kind", "Kind of notice")


def notice_number(key: str) -> int:
    """The number that a path names. Raises NotFound: it is none."""
    if not re.fullmatch(r"[0-9]{1,18}", key):
        raise NotFound(f'notice "{key}": expected the number of a notice, found none')
    return int(key)


def _held(fields: Fields) -> Held:
    named = {name: fields[name] for name in ("notice", "customer", "kind") if fields.get(name)}
    if len(named) + (fields.get("all") == "True") != 1:
        raise UserError("expected one of notice, customer, kind and all")
    notice = notice_number(named["notice"]) if "notice" in named else None
    return Held(notice, named.get("customer"), named.get("kind"))


def _hold(desk: Desk, _: str, signature: Signature, fields: Fields) -> Done:
    held = _held(fields)
    hold_notices(desk.warehouse, held, signature)
    return Done(f"{held.label}: on hold, nothing of it is sent.", {"held": held.label})


def _release(desk: Desk, _: str, signature: Signature, fields: Fields) -> Done:
    held = _held(fields)
    release_notices(desk.warehouse, held, signature)
    return Done(f"{held.label}: released.", {"released": held.label})


def _resend(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    sent = resend(desk.warehouse, notice_number(key), signature)
    return Done(f"Notice {sent} is to be sent.", {"notice_id": sent})


def _add_address(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    address, kinds = fields.get("address") or "", re.findall(r"\w+", fields.get("kinds") or "")
    add_address(desk.warehouse, customer_id, address, kinds, signature)
    return Done(f"{address} is told, too.", {"customer_id": customer_id, "email": address, "kinds": kinds})


def _end_address(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    address = fields.get("address") or ""
    remove_address(desk.warehouse, customer_id, address, signature)
    return Done(f"{address} is told nothing more.", {"customer_id": customer_id, "email": address})


def _off(desk: Desk, kind: str, customer_id: str | None, signature: Signature) -> Done:
    switch_off(desk.warehouse, kind, customer_id, signature)
    return Done(f"{kind} is off.", {"kind": kind, "customer_id": customer_id})


def _on(desk: Desk, kind: str, customer_id: str | None, signature: Signature) -> Done:
    ended = switch_on(desk.warehouse, kind, customer_id, signature)
    return Done(f"{kind} is on.", {"kind": kind, "customer_id": customer_id, "ended": ended})


def _o_clock(fields: Fields, name: str) -> time:
    given = fields.get(name) or ""
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", given):
        raise UserError(f'{name} "{shown(given)}": expected a time of day such as 08:00')
    return time.fromisoformat(given)


def _hours(desk: Desk, customer_id: str | None, signature: Signature, fields: Fields) -> Done:
    on_weekends = fields.get("weekends") == "True"
    hours = Hours(_o_clock(fields, "begins"), _o_clock(fields, "ends"), on_weekends=on_weekends)
    address = fields.get("address") or None
    choose_hours(desk.warehouse, customer_id, address, hours, signature)
    facts = {"begins": f"{hours.begins:%H:%M}", "ends": f"{hours.ends:%H:%M}", "weekends": on_weekends}
    return Done(
        f"What can wait comes from {facts['begins']} to {facts['ends']}.",
        {"customer_id": customer_id, "email": address, **facts},
    )


def _usual_hours(desk: Desk, customer_id: str | None, signature: Signature, fields: Fields) -> Done:
    address = fields.get("address") or None
    give_hours_up(desk.warehouse, customer_id, address, signature)
    return Done("No hours of its own any more.", {"customer_id": customer_id, "email": address})


def _takes_mail(desk: Desk, _: str, signature: Signature, fields: Fields) -> Done:
    address = fields.get("address") or ""
    forget_bounce(desk.warehouse, address, signature)
    return Done(f"{address} is mailed again.", {"email": address})


def _promise(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    ends = promise(desk.warehouse, customer_id, needed_day(fields, "until"), datetime.now(UTC), signature)
    said = f"Nothing is done about what {customer_id} owes until {ends:%Y-%m-%d %H:%M} UTC."
    return Done(said, {"customer_id": customer_id, "until": ends})


NOTICES = {
    "hold": Action("Keep notices back", lambda *_: "Sends nothing of it until it is released.", _hold, HELD),
    "release": Action("Release notices", lambda *_: "Sends what waited.", _release, HELD),
    "resend": Action("Send a notice once more", lambda _, key: f"Sends notice {key} once more.", _resend),
    "off": Action(
        "Switch a kind off",
        lambda _, key: f"Mails notices of the kind {key} to nobody any more.",
        lambda desk, key, signature, _: _off(desk, key, None, signature),
    ),
    "on": Action(
        "Switch a kind on",
        lambda _, key: f"Mails notices of the kind {key} again.",
        lambda desk, key, signature, _: _on(desk, key, None, signature),
    ),
    "hours": Action(
        "Choose everybody's hours",
        lambda *_: "Mails what can wait within these hours of each customer's zone, where none are nearer.",
        lambda desk, _, signature, fields: _hours(desk, None, signature, fields),
        HOURS,
    ),
    "usual-hours": Action(
        "Give everybody's hours up",
        lambda *_: "Mails what can wait in the usual hours again, where none are nearer.",
        lambda desk, _, signature, fields: _usual_hours(desk, None, signature, fields),
    ),
    "takes-mail": Action(
        "Mail an address again",
        lambda *_: "Mails an address again that bounced.",
        _takes_mail,
        (ADDRESS,),
        scope=Scope.CHANGE_CUSTOMERS,
    ),
}
OF_CUSTOMERS = {
    "add-address": Action(
        "Tell another address",
        lambda desk, key: f"Tells another address what {customer_in_words(desk, key)} is told.",
        _add_address,
        (ADDRESS, Field("kinds", "Kinds of notices; blank: all", required=False)),
        scope=Scope.CHANGE_CUSTOMERS,
    ),
    "end-address": Action(
        "Tell an address nothing more",
        lambda desk, key: f"Tells a further address of {customer_in_words(desk, key)} nothing more.",
        _end_address,
        (ADDRESS,),
        scope=Scope.CHANGE_CUSTOMERS,
    ),
    "notices-off": Action(
        "Switch a kind off for a customer",
        lambda desk, key: f"Mails a kind of notices to {customer_in_words(desk, key)} no more.",
        lambda desk, key, signature, fields: _off(desk, fields.get("kind") or "", key, signature),
        (KIND,),
        scope=Scope.CHANGE_CUSTOMERS,
    ),
    "notices-on": Action(
        "Switch a kind on for a customer",
        lambda desk, key: f"Mails a kind of notices to {customer_in_words(desk, key)} again.",
        lambda desk, key, signature, fields: _on(desk, fields.get("kind") or "", key, signature),
        (KIND,),
        scope=Scope.CHANGE_CUSTOMERS,
    ),
    "notice-hours": Action(
        "Choose a customer's hours",
        lambda desk, key: f"Mails {customer_in_words(desk, key)} what can wait within these hours of its zone.",
        _hours,
        (*HOURS, OWN_ADDRESS),
        scope=Scope.CHANGE_CUSTOMERS,
    ),
    "usual-notice-hours": Action(
        "Give a customer's hours up",
        lambda desk, key: f"Mails {customer_in_words(desk, key)} what can wait within the hours that hold otherwise.",
        _usual_hours,
        (OWN_ADDRESS,),
        scope=Scope.CHANGE_CUSTOMERS,
    ),
    "promise": Action(
        "Note a promise to pay",
        lambda desk, key: f"Lets the clock of {customer_in_words(desk, key)}'s unpaid invoices stand.",
        _promise,
        (Field("until", "Last day of the promise, such as 2026-11-30"),),
    ),
}
