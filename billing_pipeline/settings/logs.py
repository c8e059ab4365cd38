"""How the processes that serve write their logs, and whether they tell OpenTelemetry of requests."""

from billing_pipeline.settings.environment import SettingsError, text_or_none


def logs_are_json() -> bool:
    """BILLING_LOG_FORMAT: text (the default), lines for people; json, an object a line.

    Raises:
        SettingsError: it is something else.
    """
    found = text_or_none("BILLING_LOG_FORMAT") or "text"
    if found not in ("text", "json"):
        raise SettingsError(f"BILLING_LOG_FORMAT={found!r}: expected text or json")
    return found == "json"


def requests_are_traced() -> bool:
    """BILLING_OPENTELEMETRY: yes, a span a request; unset or no: none.

    Raises:
        SettingsError: it is something else.
    """
    found = text_or_none("BILLING_OPENTELEMETRY") or "no"
    if found not in ("yes", "no"):
        raise SettingsError(f"BILLING_OPENTELEMETRY={found!r}: expected yes or no")
    return found == "yes"
