"""What the demo's customers agreed by hand: when, and on which plan, they are billed. Agreed once, in one month."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from billing_pipeline.core.signature import Signature
from billing_pipeline.customers import contracts
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.population import JOINED, LEFT, PAUSED, STARTS_ON, TRIED

_BY = Signature("billing demo", "what the demo's customers agreed")

Step = tuple[int | None, Callable[..., Any]]
"""A day of the month, None for long before, and what is agreed from it on."""

_SINCE_LONG: Step = (None, partial(contracts.start_contract, plan="starter"))
_UPGRADE: Step = (25, lambda warehouse, whose, on, by: contracts.change_plan(warehouse, whose, on, "campus", by))
_AGREED: Mapping[str, Sequence[Step]] = {
    JOINED: ((20, partial(contracts.start_contract, plan="starter")), _UPGRADE),
    LEFT: (_SINCE_LONG, (10, contracts.end_contract)),
    TRIED: ((5, partial(contracts.start_contract, plan="tryout")),),
    PAUSED: (_SINCE_LONG, (10, contracts.pause_contract), (21, contracts.resume_contract)),
}


def sign_contracts(warehouse: Warehouse, month: date) -> None:
    """Agree on what is not agreed yet, with days of `month`; each step is one row of a contract."""
    for customer_id, steps in _AGREED.items():
        done = int(
            warehouse.scalar("SELECT count(*) FROM billing.contract_terms WHERE customer_id = :id", id=customer_id)
        )
        for day, agree in steps[done:]:
            agree(warehouse, customer_id, STARTS_ON if day is None else month.replace(day=day), _BY)
