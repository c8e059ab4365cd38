"""How an alert is said in a mail, in a chat and to a pager. Pure.

`facts` of a message are those of the notice: `what` (trigger, acknowledge, resolve) and `alerts`, each with alert_id,
rule, subject, severity, what (opened, worse, reminded, resolved, acknowledged), summary, opened_at, what_to_do,
commands and link.
"""

import json
from collections.abc import Mapping
from typing import Any

SHOWN = 20
"""Alerts in one message at most; how many more there are is said."""
_MARKS = {"opened": "", "worse": "worse: ", "reminded": "still: ", "resolved": "over: "}
PAGER_SUMMARY_MAX = 1024
"""https://developer.pagerduty.com/docs/send-alert-event: longest summary."""

Facts = Mapping[str, Any]


def subject(facts: Facts) -> str:
    """One line for all of them: the worst first."""
    alerts = _ordered(facts)
    first, more = alerts[0], len(alerts) - 1
    level = "over" if first["what"] == "resolved" else first["severity"]
    line = f"[billing {level}] {_MARKS[first['what']] if level != 'over' else ''}{first['summary']}"
    return f"{line[:180]} (and {more} more)" if more else line[:200]


def paragraphs(facts: Facts) -> list[str]:
    """For a mail: what is so, what to do, the commands, the page."""
    written = []
    for alert in _ordered(facts)[:SHOWN]:
        written.append(f"{_MARKS[alert['what']]}{alert['summary']} ({alert['severity']}, alert {alert['alert_id']})")
        if alert["what"] != "resolved":
            written += [alert["what_to_do"], "; ".join(alert["commands"]), alert["link"]]
    return [*written, *_more(facts)]


def slack(facts: Facts) -> bytes:
    """https://api.slack.com/messaging/webhooks: a text with Slack's marks, which other chats take as well."""
    lines = []
    for alert in _ordered(facts)[:SHOWN]:
        lines.append(f"*{alert['severity']}* {_slack_text(_MARKS[alert['what']] + alert['summary'])}")
        if alert["what"] != "resolved":
            lines += [
                _slack_text(alert["what_to_do"]),
                *(f"`{_slack_text(command)}`" for command in alert["commands"]),
                f"<{alert['link']}|look at it> · `billing alerts acknowledge {alert['alert_id']}`",
            ]
    return _json({"text": "\n".join([*lines, *_more(facts)])})


def pager(facts: Facts, routing_key: str) -> bytes:
    """https://developer.pagerduty.com/docs/events-api-v2-overview: an event an alert; `dedup_key` makes doubles one."""
    [alert] = facts["alerts"]
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": facts["what"],
        "dedup_key": f"billing-{alert['alert_id']}-{alert['opened_at']}",
    }
    if facts["what"] == "trigger":
        event |= {
            "payload": {
                "summary": f"{_MARKS[alert['what']]}{alert['summary']}"[:PAGER_SUMMARY_MAX],
                "source": alert["source"],
                "severity": alert["severity"],
                "timestamp": alert["opened_at"],
                "component": alert["subject"],
                "class": alert["rule"],
                "custom_details": {name: alert[name] for name in ("what_to_do", "commands", "alert_id")},
            },
            "client": "billing_pipeline",
            "client_url": alert["link"],
            "links": [{"href": alert["link"], "text": "look at it"}],
        }
    return _json(event)


def _ordered(facts: Facts) -> list[dict[str, Any]]:
    return sorted(
        facts["alerts"], key=lambda one: (one["what"] == "resolved", one["severity"] != "critical", one["alert_id"])
    )


def _more(facts: Facts) -> list[str]:
    more = len(facts["alerts"]) - SHOWN
    return [f"and {more} more: billing alerts list"] if more > 0 else []


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
