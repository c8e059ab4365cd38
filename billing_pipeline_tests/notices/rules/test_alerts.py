"""When operators are told, and in which words: pure rules."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from billing_pipeline.notices.alert_policies import PACKAGED
from billing_pipeline.notices.rules.alert_changes import OpenAlert, changes
from billing_pipeline.notices.rules.alert_messages import SHOWN, pager, paragraphs, slack, subject
from billing_pipeline.notices.rules.alert_policy import AlertPolicyWrong, read_alert_policy
from billing_pipeline.notices.rules.alert_rules import RULES, Signal
from billing_pipeline.settings import ROOT

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
OURS = PACKAGED.read_text(encoding="utf-8")
POLICY = read_alert_policy(OURS)
HOUR = timedelta(hours=1)


def open_alert(**over: object) -> OpenAlert:
    values = {
        "alert_id": 7, "rule": "events_dead", "subject": "all", "told_count": 2, "told_at": NOON, "seen_at": NOON,
        "is_acknowledged": False,
    }  # fmt: skip
    return OpenAlert(**values | over)  # type: ignore[arg-type]


def dead(count: int) -> Signal:
    return Signal("events_dead", "all", count, "evt_1: no such invoice")


def became(alert: OpenAlert | None, signals: list[Signal], after: timedelta, looked_at: tuple[str, ...]) -> list[str]:
    found = changes([alert] if alert else [], signals, looked_at, POLICY, NOON + after)
    return [change.what for change in found]


@pytest.mark.parametrize(
    ("alert", "signals", "after", "what"),
    [
        (None, [dead(2)], HOUR, ["opened"]),
        (open_alert(), [dead(2)], HOUR, ["seen"]),
        (open_alert(), [dead(3)], HOUR, ["seen"]),
        (open_alert(), [dead(4)], HOUR, ["worse"]),
        (open_alert(is_acknowledged=True), [dead(4)], HOUR, ["worse"]),
        (open_alert(), [dead(1)], 24 * HOUR, ["reminded"]),
        (open_alert(is_acknowledged=True), [dead(2)], 24 * HOUR, ["seen"]),
        (open_alert(), [], timedelta(minutes=14), []),
        (open_alert(), [], timedelta(minutes=15), ["resolved"]),
        (open_alert(rule="run_failed"), [], HOUR, []),  # nobody looked at runs
    ],
)
def test_it_is_told_once_again_when_worse_or_forgotten_and_when_it_is_over(alert, signals, after, what):
    assert became(alert, signals, after, ("events_dead",)) == what


def test_a_rule_that_is_switched_off_ends_its_alerts():
    off = read_alert_policy(OURS, "rules: {events_dead: off}")
    assert [change.what for change in changes([open_alert()], [], (), off, NOON)] == ["resolved"]


def test_the_packaged_policy_has_every_rule_and_only_those():
    assert set(POLICY.rules) | {"test"} == set(RULES)
    assert POLICY.off == frozenset()


def test_a_companys_file_is_laid_over_ours():
    policy = read_alert_policy(OURS, "calm_min: 5\nchannels: {pagerduty: []}\nrules:\n  feed_stopped: {silent_h: 2}\n")
    assert policy.calm == timedelta(minutes=5)
    assert policy.threshold("feed_stopped", "silent_h") == 2
    assert (policy.severity("feed_stopped"), policy.severity("token_expires")) == ("critical", "warning")
    assert (policy.channels["pagerduty"], policy.channels["mail"]) == (frozenset(), {"critical", "warning"})
    assert dict(policy.parameters()).keys() == dict(POLICY.parameters()).keys()


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ("- x", "own.yaml: expected remind_after_h"),
        ("rules: {", "own.yaml: "),
        ("calm: 5", "own.yaml: calm: expected one of remind_after_h"),
        ("calm_min: soon", "own.yaml, calm_min: 'soon': expected a whole number"),
        ("calm_min: true", "own.yaml, calm_min: True"),
        ("rules: {no_such: off}", "own.yaml, rules: no_such: expected one of"),
        ("rules: [run_failed]", "own.yaml, rules: expected names"),
        (
            "rules: {run_failed: {within: 2}}",
            "own.yaml, rules, run_failed: expected off, or some of severity, within_d",
        ),
        ("rules: {run_failed: {severity: bad}}", "own.yaml, rules, run_failed: severity: expected critical or warning"),
        ("rules: {run_failed: {within_d: -1}}", "own.yaml, rules, run_failed, within_d: -1"),
        ("channels: {mail: all}", "own.yaml, channels, mail: expected a list of critical and warning"),
        ("channels: {sms: []}", "own.yaml, channels: sms: expected one of mail, slack, pagerduty"),
    ],
)
def test_a_file_that_cannot_be_followed_is_named(own, named):
    with pytest.raises(AlertPolicyWrong) as error:
        read_alert_policy(OURS, own, "own.yaml")
    assert str(error.value).startswith(named)


def facts(*alerts: Mapping[str, object], what: str = "trigger") -> dict[str, object]:
    signal = Signal("gate_failed", "2026-10", 2, "invoices.one_currency, 3 row(s)", date(2026, 10, 1))
    usual = {
        "alert_id": 7, "tellings": 1, "rule": "gate_failed", "subject": "2026-10", "severity": "critical",
        "what": "opened", "summary": signal.summary, "opened_at": "2026-11-26T12:00:00+00:00",
        "what_to_do": RULES["gate_failed"].what_to_do, "commands": list(signal.commands),
        "link": "https://billing.example.com" + signal.page, "source": "billing.example.com",
    }  # fmt: skip
    return {"what": what, "alerts": [{**usual, **alert} for alert in alerts or ({},)]}


def test_a_mail_says_what_is_so_what_to_do_the_command_and_the_page():
    told = facts()
    assert subject(told) == "[billing critical] 2 gate(s) of 2026-10 failed: invoices.one_currency, 3 row(s)"
    assert paragraphs(told) == [
        "2 gate(s) of 2026-10 failed: invoices.one_currency, 3 row(s) (critical, alert 7)",
        RULES["gate_failed"].what_to_do,
        "billing run --month 2026-10 --through invoices",
        "https://billing.example.com/console/months/2026-10",
    ]


def test_many_are_one_message_the_worst_first_and_what_is_over_last():
    told = facts(
        {"alert_id": 1, "what": "resolved"}, {"alert_id": 2, "severity": "warning"}, {"alert_id": 3, "what": "worse"}
    )
    assert subject(told).startswith("[billing critical] worse: 2 gate(s)")
    assert subject(told).endswith("(and 2 more)")
    firsts = [line for line in paragraphs(told) if "alert " in line]
    assert [line.rpartition("alert ")[2] for line in firsts] == ["3)", "2)", "1)"]
    crowd = facts(*({"alert_id": number} for number in range(SHOWN + 3)))
    assert paragraphs(crowd)[-1] == "and 3 more: billing alerts list"
    assert subject(facts({"what": "resolved"})).startswith("[billing over] 2 gate(s)")


def test_a_chat_gets_text_in_which_nothing_of_ours_is_a_mark():
    said = json.loads(slack(facts({"summary": "<!channel> a & b"})))["text"]
    assert said.startswith("*critical* &lt;!channel&gt; a &amp; b\n")
    assert "<https://billing.example.com/console/months/2026-10|look at it>" in said
    assert "`billing alerts acknowledge 7`" in said


def test_a_pager_gets_an_event_as_its_api_has_it():
    event = json.loads(pager(facts({"summary": "x" * 2000}), "r0ut1ng"))
    assert (event["routing_key"], event["event_action"]) == ("r0ut1ng", "trigger")
    assert event["dedup_key"] == "billing-7-2026-11-26T12:00:00+00:00"
    assert len(event["payload"]["summary"]) == 1024
    assert event["payload"]["severity"] == "critical"
    over = json.loads(pager(facts({"what": "resolved"}, what="resolve"), "r0ut1ng"))
    assert over == {"routing_key": "r0ut1ng", "event_action": "resolve", "dedup_key": event["dedup_key"]}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_is_a_heading_of_the_handbook(rule: str):
    page = Path(ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert f"\n### {rule}\n" in page


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_is_said_in_one_line_with_and_without_a_month(rule: str):
    for month in (date(2026, 10, 1), None):
        signal = Signal(rule, "subject", 1234, "{example}\nof two lines " * 60, month)
        assert 0 < len(signal.summary) <= 500
        assert "\n" not in signal.summary
        assert signal.commands
