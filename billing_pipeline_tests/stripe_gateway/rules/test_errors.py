"""The closed error table, row by row."""

import pytest

from billing_pipeline.stripe_gateway.rules.errors import (
    ANY,
    NOT_IN_TABLE,
    TABLE,
    Evidence,
    Outcome,
    StripeFailure,
    Verdict,
    classify,
    without_secrets,
)

CASES = [
    ("card card_declined generic_decline", "refused declined"),
    ("card card_declined -", "refused declined"),
    ("card card_declined insufficient_funds", "refused insufficient_funds"),
    ("card card_declined lost_card", "refused declined_for_good"),
    ("card card_declined stolen_card", "refused declined_for_good"),
    ("card card_declined fraudulent", "refused declined_for_good"),
    ("card card_declined do_not_honor", "refused declined"),
    ("card card_declined try_again_later", "refused declined"),
    ("card card_declined card_velocity_exceeded", "refused declined"),
    ("card card_declined authentication_required", "refused action_required"),
    ("card card_declined expired_card", "refused expired_card"),
    ("card expired_card -", "refused expired_card"),
    ("card expired_card expired_card", "refused expired_card"),
    ("card incorrect_cvc -", "refused declined_for_good"),
    ("card processing_error -", "refused declined"),
    ("card authentication_required authentication_required", "refused action_required"),
    ("card invoice_payment_intent_requires_action -", "refused action_required"),
    ("invalid_request invoice_payment_intent_requires_action -", "refused action_required"),
    ("card missing -", "refused no_payment_method"),
    ("invalid_request resource_missing -", "refused no_payment_method"),
    ("rate_limit rate_limit -", "retry rate_limited"),
    ("rate_limit lock_timeout -", "retry lock_timeout"),
    ("connection - -", "unknown connection_lost"),
    ("server - -", "unknown stripe_error"),
    ("unreadable - -", "unknown answer_unreadable"),
    ("conflict idempotency_key_in_use -", "unknown still_in_progress"),
    ("invalid_request - -", "ask not_as_believed"),
    ("invalid_request invoice_already_paid -", "ask not_as_believed"),
    ("invalid_request invoice_not_editable -", "ask not_as_believed"),
    ("invalid_request email_invalid -", "park email_not_accepted"),
    ("invalid_request amount_too_large -", "park amount_not_chargeable"),
    ("invalid_request invalid_currency -", "park currency_not_chargeable"),
    ("invalid_request parameter_unknown -", "park request_mistaken"),
    ("not_found resource_missing -", "park missing_at_stripe"),
    ("idempotency - -", "park key_reused"),
    ("authentication - -", "stop key_not_accepted"),
    ("permission - -", "stop key_not_allowed"),
    # nobody thought of these
    ("card card_declined a_new_one", "park not_in_error_table"),
    ("card a_new_one -", "park not_in_error_table"),
    ("card - -", "park not_in_error_table"),
    ("invalid_request a_new_one -", "park not_in_error_table"),
    ("TemporarySessionExpiredError - -", "park not_in_error_table"),
]


@pytest.mark.parametrize(("answer", "verdict"), CASES, ids=[case[0] for case in CASES])
def test_verdict(answer: str, verdict: str) -> None:
    kind, code, decline_code = (None if part == "-" else part for part in answer.split())
    found = classify(Evidence(str(kind), code, decline_code))
    assert f"{found.outcome} {found.reason_code}" == verdict


@pytest.mark.parametrize("row", sorted(TABLE, key=str), ids=str)
def test_each_row_is_reached(row: tuple[str, str | None, str | None]) -> None:
    kind, code, decline_code = (None if part == ANY else part for part in row)
    param = "customer" if code == "resource_missing:customer" else None
    code = "resource_missing" if param else code
    if row[1] == ANY:
        code = "no_row_of_its_own"
    assert classify(Evidence(str(kind), code, decline_code, param=param)) == TABLE[row]


def test_a_missing_customer_is_not_a_missing_card() -> None:
    found = classify(Evidence("invalid_request", "resource_missing", None, 400, param="customer"))
    assert found == Verdict(Outcome.PARK, "customer_missing")


def test_only_what_stripe_said_for_certain_counts_as_refused() -> None:
    for kind in ("server", "connection", "conflict", "unreadable"):
        for code in (None, "card_declined", "insufficient_funds"):
            assert classify(Evidence(kind, code, "insufficient_funds")).outcome is Outcome.UNKNOWN


def test_a_failure_shows_its_evidence_and_no_secret() -> None:
    text = without_secrets("Invalid API Key provided: sk_live_51abcDEF\n for pi_1_secret_XyZ, rk_test_**1234")
    assert text == "Invalid API Key provided: sk_… for pi_1_secret_…, rk_…"
    evidence = Evidence("card", "card_declined", "brand_new", 402, None, "req_1", "Your card was declined.")
    failure = StripeFailure(NOT_IN_TABLE, evidence)
    assert str(failure) == (
        "not_in_error_table: card/card_declined/brand_new (HTTP 402, req_1): Your card was declined."
    )
    assert evidence.as_json() == {
        "kind": "card",
        "code": "card_declined",
        "decline_code": "brand_new",
        "status": 402,
        "request_id": "req_1",
        "message": "Your card was declined.",
    }
