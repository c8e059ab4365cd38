"""What is done to all charging, to Stripe's events and to alerts."""

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.charging.brakes import pause_charging, resume_charging
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import counted
from billing_pipeline.events.queue import EventFilter, replay
from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alerts import acknowledge, audience_of
from billing_pipeline.settings import load_settings
from billing_pipeline.web.actions.desk import Action, Desk, Done, Fields, number_in_path


def _replay(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    count = replay(desk.warehouse, EventFilter(event_id=key), signature)
    return Done(f"{counted(count, 'event', 'events')} will be processed again.", {"replayed": count})


def _pause(desk: Desk, _: str, signature: Signature, __: Fields) -> Done:
    pause_charging(desk.warehouse, signature)
    return Done("Nothing is charged until somebody resumes.", {"charges_enabled": False})


def _resume(desk: Desk, _: str, signature: Signature, __: Fields) -> Done:
    resume_charging(desk.warehouse, signature)
    return Done("Charging goes on with the next run.", {"charges_enabled": True})


def _acknowledge(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    settings = load_settings()
    audience = audience_of(settings, load_alert_policy(settings.alerts.policy))
    acknowledge(desk.warehouse, audience, alert_number(key), signature)
    return Done(f"Alert {key} is {signature.author}'s.", {"alert_id": alert_number(key)})


def alert_number(key: str) -> int:
    """The number that a path names. Raises NotFound: it is none."""
    return number_in_path("alert", key, "billing alerts list")


CHARGING = {
    "pause": Action(
        "Pause all charging",
        lambda *_: "Stops every charge, in all months, at once.",
        _pause,
        scope=Scope.CHANGE_STRIPE,
    ),
    "resume": Action(
        "Resume charging", lambda *_: "Lets charges go on with the next run.", _resume, scope=Scope.CHANGE_STRIPE
    ),
}
EVENTS = {
    "replay": Action(
        "Process again", lambda _, key: f"Processes Stripe's event {key} again.", _replay, scope=Scope.CHANGE_STRIPE
    ),
}
ALERTS = {
    "acknowledge": Action(
        "Acknowledge",
        lambda _, key: f"Takes the alert {key} on: it is told no more.",
        _acknowledge,
        scope=Scope.CHANGE_MONTHS,
    ),
}
