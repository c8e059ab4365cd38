"""The benchmark of the receiver measures what it says: events that were stored, and answers that were 200."""

from billing_pipeline.sandbox.bench import receiver


def test_each_of_the_three_did_all_the_work(warehouse, monkeypatch):
    monkeypatch.setattr(receiver, "REQUESTS", 160)
    figures = receiver.measure_receiver(warehouse.engine.url.render_as_string(hide_password=False))
    assert figures.keys() == {"receiver", "insert", "empty_endpoint"}
    assert all(figure["requests_per_s"] > 0 and figure["p99_ms"] >= figure["p50_ms"] for figure in figures.values())
    assert warehouse.scalar("SELECT count(*) FROM billing.stripe_events") == 320
