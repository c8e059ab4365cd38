"""Stripe's test payment methods (https://docs.stripe.com/testing) and which outcome each of them has.

Only data: what an outcome means is in `outcomes`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TestCard:
    """A test payment method; ``attaches`` is false where Stripe declines it at attaching already."""

    outcome: str
    last4: str
    brand: str = "visa"
    funding: str = "credit"
    attaches: bool = True

    __test__ = False  # the name is Stripe's word, not pytest's


def _declining(outcome: str, last4: str) -> TestCard:
    return TestCard(outcome, last4, attaches=False)


TEST_CARDS: dict[str, TestCard] = {
    "pm_card_visa": TestCard("success", "4242"),
    "pm_card_visa_debit": TestCard("success", "5556", funding="debit"),
    "pm_card_mastercard": TestCard("success", "4444", "mastercard"),
    "pm_card_mastercard_debit": TestCard("success", "8210", "mastercard", "debit"),
    "pm_card_mastercard_prepaid": TestCard("success", "5100", "mastercard", "prepaid"),
    "pm_card_amex": TestCard("success", "8431", "amex"),
    "pm_card_discover": TestCard("success", "1117", "discover"),
    "pm_card_diners": TestCard("success", "0004", "diners"),
    "pm_card_jcb": TestCard("success", "0505", "jcb"),
    "pm_card_unionpay": TestCard("success", "0005", "unionpay"),
    "pm_card_us": TestCard("success", "4242"),
    "pm_card_de": TestCard("success", "0016"),
    "pm_card_gb": TestCard("success", "0000"),
    "pm_card_bypassPending": TestCard("success", "0077"),
    "pm_card_chargeCustomerFail": TestCard("generic_decline", "0341"),
    "pm_card_chargeDeclined": _declining("generic_decline", "0002"),
    "pm_card_visa_chargeDeclined": _declining("generic_decline", "0002"),
    "pm_card_chargeDeclinedInsufficientFunds": _declining("insufficient_funds", "9995"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declining("insufficient_funds", "9995"),
    "pm_card_visa_chargeDeclinedLostCard": _declining("lost_card", "9987"),
    "pm_card_visa_chargeDeclinedStolenCard": _declining("stolen_card", "9979"),
    "pm_card_chargeDeclinedFraudulent": _declining("fraudulent", "0019"),
    "pm_card_radarBlock": _declining("fraudulent", "0019"),
    "pm_card_chargeDeclinedExpiredCard": _declining("expired_card", "0069"),
    "pm_card_chargeDeclinedIncorrectCvc": _declining("incorrect_cvc", "0127"),
    "pm_card_chargeDeclinedProcessingError": _declining("processing_error", "0119"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": _declining("card_velocity_exceeded", "6975"),
    "pm_card_authenticationRequired": TestCard("authentication_required", "3184"),
    "pm_card_authenticationRequiredOnSetup": TestCard("authentication_required", "3155"),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": TestCard("insufficient_funds", "3178"),
    "pm_card_threeDSecure2Required": TestCard("authentication_required", "3220"),
    "pm_card_threeDSecureRequired": TestCard("authentication_required", "3063"),
    "pm_card_createDispute": TestCard("dispute", "0259"),
    "pm_card_refundFail": TestCard("refund_fails", "5126"),
}

TOKENS = {"tok_visa": "pm_card_visa", "tok_mastercard": "pm_card_mastercard", "tok_amex": "pm_card_amex"} | {
    name.replace("pm_card_", "tok_"): name for name in TEST_CARDS
}
"""Card tokens for ``payment_methods.create(card={"token": …})``; only the prefix differs."""
