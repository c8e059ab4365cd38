"""Numbers of Stripe's test cards (https://docs.stripe.com/testing) that can be a customer's card, and their names."""

from billing_pipeline.core.errors import UserError

DECLINES = "pm_card_chargeCustomerFail"
"""Is accepted as a customer's card, and declines every charge."""

PAYMENT_METHODS = {
    "4242424242424242": "pm_card_visa",
    "4000056655665556": "pm_card_visa_debit",
    "5555555555554444": "pm_card_mastercard",
    "5200828282828210": "pm_card_mastercard_debit",
    "5105105105105100": "pm_card_mastercard_prepaid",
    "371449635398431": "pm_card_amex",
    "6011111111111117": "pm_card_discover",
    "3056930009020004": "pm_card_diners",
    "3566002020360505": "pm_card_jcb",
    "6200000000000005": "pm_card_unionpay",
    "4000000000000341": DECLINES,
    "4000002760003184": "pm_card_authenticationRequired",
    "4000008260003178": "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
    "4000000000000259": "pm_card_createDispute",
    "4000000000005126": "pm_card_refundFail",
}


def payment_method_of(number: str) -> str:
    """The test payment method of a card number; blanks between the digits do not matter.

    Raises:
        UserError: no test card that a customer can have has this number.
    """
    found = PAYMENT_METHODS.get("".join(number.split()))
    if found is None:
        raise UserError(f'--number "{number}": expected one of Stripe\'s test cards: {", ".join(PAYMENT_METHODS)}')
    return found
