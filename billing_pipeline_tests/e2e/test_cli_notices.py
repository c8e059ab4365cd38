"""`billing notices`, `dunning` and `webhooks`, as they are typed."""

import json

from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.commands import refused, said

SIGNED = ("--author", "ann", "--reason", "tried out")


def test_notices_are_listed_previewed_held_sent_and_sent_again(world, monkeypatch, tmp_path):
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    world.bill(Bill("ann"), Bill("bob", card=None))
    world.charge()
    rows = json.loads(said("notices", "list", "--customer", "bob", "--json"))["notices"]
    assert [row["kind"] for row in rows] == ["payment_method_missing", "invoice_issued"]
    assert rows[0]["facts"]["due"]["display"] == "40.00 USD"
    assert "invoice_issued" in said("notices", "list")
    assert "bob@example.com" in said("notices", "show", str(rows[0]["notice_id"]))
    assert said("notices", "preview", "payment_failed", "--customer", "ann").startswith("Your payment for invoice")
    assert said("notices", "check").endswith("all well")
    said("notices", "hold", "--kind", "payment_succeeded", *SIGNED)
    assert "mail: 3 sent" in said("notices", "send")
    said("notices", "release", "--kind", "payment_succeeded", *SIGNED)
    assert "mail: 1 sent" in said("notices", "send")
    assert "is to be sent" in said("notices", "resend", str(rows[0]["notice_id"]), *SIGNED)
    assert "expected one of --notice" in refused("notices", "hold", *SIGNED)
    assert "found none" in refused("notices", "show", "999")


def test_choices_are_made_listed_and_ended(world):
    world.bill(Bill("ann"))
    assert said("notices", "choices", "list") == "nobody chose anything"
    of_ann = ("--customer", "ann", *SIGNED)
    said("notices", "choices", "add", "accounts@example.com", "--kind", "final_notice", *of_ann)
    said("notices", "choices", "off", "payment_succeeded", *of_ann)
    said("notices", "choices", "bounced", "ann@example.com", *SIGNED)
    rows = json.loads(said("notices", "choices", "list", "--customer", "ann", "--json"))["choices"]
    assert [(row["what"], row["kinds"]) for row in rows] == [
        ("address", "final_notice"),
        ("off", "payment_succeeded"),
        ("bounced", "all"),
    ]
    assert "from 07:00 to 22:00" in said("notices", "choices", "hours", "07:00", "22:00", "--weekends", *of_ann)
    said("notices", "choices", "usual-hours", *of_ann)
    assert "found none" in refused("notices", "choices", "usual-hours", *of_ann)
    said("notices", "choices", "remove", "accounts@example.com", *of_ann)
    said("notices", "choices", "on", "payment_succeeded", *of_ann)
    said("notices", "choices", "takes-mail", "ann@example.com", *SIGNED)
    assert said("notices", "choices", "list") == "nobody chose anything"
    assert "not off" in refused("notices", "choices", "on", "payment_succeeded", *of_ann)


def test_dunning_is_listed_simulated_and_promised(world):
    assert said("dunning", "list") == "nothing is unpaid"
    world.bill(Bill("bob", card=None))
    world.charge()
    [case] = json.loads(said("dunning", "list", "--json"))["cases"]
    assert (case["customer_id"], case["level"], case["next_step"]) == ("bob", "none", "past_due")
    steps = json.loads(said("dunning", "simulate", "--days", "60", "--json"))["steps"]
    assert [step["step"] for step in steps][:4] == ["past_due", "payment_overdue", "grace", "final_notice"]
    assert said("dunning", "run") == "nothing is due"
    assert "expected a day from" in refused("dunning", "promise", "bob", "--until", "2020-01-01", *SIGNED)
    assert "case opened" in said("dunning", "show", "bob")
    assert "course debit: where cause is debit" in said("dunning", "check", "--names")
    checked = json.loads(said("dunning", "check", "--json"))
    assert checked["courses"][0] == {"name": "another method", "when": {"cause": ["hard"]}}
    assert checked["unknown"] == []
    assert said("dunning", "status") == "nobody was ever in dunning"


def test_an_endpoint_gets_a_secret_that_is_printed_alone(world):  # noqa: ARG001
    secret = said("webhooks", "add", "https://example.com/hooks", *SIGNED)
    assert secret.startswith("whsec_")
    assert len(secret.splitlines()) == 1
    [endpoint] = json.loads(said("webhooks", "list", "--json"))["endpoints"]
    assert said("webhooks", "rotate", endpoint["endpoint_id"], *SIGNED) != secret
    assert "0 messages" in said(
        "webhooks", "replay", endpoint["endpoint_id"], "--since", "2026-01-01T00:00:00Z", *SIGNED
    )
    said("webhooks", "disable", endpoint["endpoint_id"], *SIGNED)
    assert "found none" in refused("webhooks", "disable", endpoint["endpoint_id"], *SIGNED)


def test_budgets_are_set_listed_and_ended(world):
    world.bill(Bill("ann"))
    assert said("budgets", "list") == "there are no budgets"
    assert said("budgets", "set", "ann", "--limit", "100", *SIGNED) == "customer ann: the amount is watched"
    assert "was watched so already" in said("budgets", "set", "ann", "--limit", "100.00", *SIGNED)
    [row] = json.loads(said("budgets", "list", "--customer", "ann", "--json"))["budgets"]
    assert (row["limit"]["display"], row["thresholds_percent"]) == ("100.00 USD", [50, 80, 100])
    assert 'meter "x": expected one of' in refused("budgets", "set", "ann", "--meter", "x", "--limit", "1", *SIGNED)
    assert "--limit" in refused("budgets", "set", "ann", "--limit", "much", *SIGNED)
    assert said("budgets", "check") == "1 looked at, 0 told"
    assert json.loads(said("budgets", "check", "--json")) == {"customers": 1, "told": 0, "failed": []}
    said("budgets", "end", "ann", *SIGNED)
    assert "found none" in refused("budgets", "end", "ann", *SIGNED)
