"""How a run fails for a reason that an operator can do something about: in one line, and not again by itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from billing_pipeline.stripe_gateway.rules.errors import StripeFailure


@contextmanager
def explained(*errors: type[Exception], what: str = "") -> Iterator[None]:
    """The step fails with the text of one of these errors, `what` before it, and Dagster does not retry it.

    Raises:
        dagster.Failure: in place of the error.
    """
    try:
        yield
    except errors as error:
        raise dg.Failure(description=f"{what}: {error}" if what else str(error), allow_retries=False) from error


@contextmanager
def stripe_explained() -> Iterator[None]:
    """The step fails with what Stripe said, or that it did not answer.

    Raises:
        dagster.Failure: in place of StripeFailure.
    """
    with explained(StripeFailure, what="Stripe"):
        yield
