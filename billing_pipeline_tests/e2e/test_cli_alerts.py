"""`billing alerts`, as it is typed."""

import json

from billing_pipeline_tests.commands import refused, said

SIGNED = ("--author", "ann", "--reason", "I look at it")


def test_an_alert_is_listed_shown_and_acknowledged(world, monkeypatch, tmp_path):  # noqa: ARG001
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("BILLING_ALERT_MAIL", "ops@example.com")
    assert said("alerts", "list") == "nothing is wrong"
    said("charges", "pause", *SIGNED)
    assert said("alerts", "run") == "1 opened, 1 sent"
    assert said("alerts", "run") == "1 seen"
    [mail] = (tmp_path / "mail").glob("*.eml")
    assert "[billing critical] No charge is made" in mail.read_text(encoding="utf-8")
    assert "charging_stopped" in said("alerts", "list")
    [row] = json.loads(said("alerts", "list", "--json"))["alerts"]
    assert row["summary"] == "No charge is made: stopped by ann: I look at it"
    shown = said("alerts", "show", str(row["alert_id"]))
    assert "billing charges status" in shown
    assert "ann's" in said("alerts", "acknowledge", str(row["alert_id"]), *SIGNED)
    assert "ann has it already" in refused("alerts", "acknowledge", str(row["alert_id"]), *SIGNED)
    assert "found none" in refused("alerts", "show", "999")
    assert said("alerts", "test", "--author", "ann") == "1 opened, 1 sent"


def test_the_thresholds_that_hold_are_shown_and_a_wrong_file_is_named(monkeypatch, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("rules: {feed_stopped: {silent_h: 3}, dispute_open: off}")
    monkeypatch.setenv("BILLING_ALERT_POLICY", str(own))
    rules = {row["rule"]: row for row in json.loads(said("alerts", "rules", "--json"))["rules"]}
    assert (rules["feed_stopped"]["thresholds"], rules["dispute_open"]["state"]) == ("silent_h 3", "off")
    own.write_text("rules: {feed: off}")
    assert "own.yaml, rules: feed: expected one of" in refused("alerts", "rules")
