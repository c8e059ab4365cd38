"""Stripe for as long as somebody works with it, or an emulator where no key is set."""

from collections.abc import Iterator
from contextlib import contextmanager

from billing_pipeline.core.errors import UserError
from billing_pipeline.settings import load_settings
from billing_pipeline.stripe_gateway.gateway import StripeGateway, open_gateway
from billing_pipeline.stripe_gateway.local_emulator import stripe_for
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure


class StripeFailed(UserError):  # noqa: N818 - reads as what happened
    """Stripe refused, or could not be reached; the text says what it said."""


@contextmanager
def open_stripe() -> Iterator[StripeGateway]:
    """The gateway that the environment asks for; an answer that ends the work is one line.

    Raises:
        StripeFailed: there was such an answer, or none.
    """
    with stripe_for(load_settings()):
        # read anew: the emulator's address came with its start
        gateway = open_gateway(load_settings())
        try:
            yield gateway
        except StripeFailure as failure:
            raise StripeFailed(f"Stripe: {failure}") from None
        finally:
            gateway.close()
