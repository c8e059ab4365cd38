"""Customers at Stripe: who has none in our table is looked up by metadata, and created only when not found."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.charging.brakes import require_permission
from billing_pipeline.charging.invoice import CustomerProblem
from billing_pipeline.charging.rules.charging import customer_key
from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.postgres.worker_pool import work_through
from billing_pipeline.stripe_gateway.rules.api import StripeApi, StripeCustomer
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure

KEYS_MAX = 5
SENDS_MAX = 2 * KEYS_MAX


@dataclass(frozen=True, slots=True)
class _Missing:
    customer_id: str
    name: str
    email: str


def ensure_customers(
    warehouse: Warehouse,
    api: StripeApi,
    invoices: Sequence[str],
    run_id: str,
    *,
    workers: int,
    stop: Event,
    log: Callable[[str], None],
) -> dict[str, CustomerProblem]:
    """Give every customer of these invoices its id at Stripe; returns those that have none, and why.

    One listing for all of them. Ids are stored once and never replaced.
    """
    missing = [_Missing(**row) for row in warehouse.rows(_MISSING, invoices=list(invoices))]
    if not missing:
        return {}
    log(f"{len(missing):,} customers have no customer at Stripe yet: listing those there")
    wanted = {customer.customer_id for customer in missing}
    found: dict[str, list[StripeCustomer]] = {}
    try:
        for customer in api.list_customers():
            if customer.customer_id in wanted:
                found.setdefault(str(customer.customer_id), []).append(customer)
    except StripeFailure as failure:
        if failure.outcome is Outcome.STOP:
            raise
        return {customer_id: CustomerProblem(failure.code, str(failure.evidence), False) for customer_id in wanted}

    @contextmanager
    def worker() -> Iterator[Callable[[_Missing], tuple[str, CustomerProblem | None]]]:
        try:
            yield lambda one: (
                one.customer_id,
                _ensure(warehouse, api, one, found.get(one.customer_id, ()), run_id),
            )
        finally:
            api.close()

    results = work_through(
        missing, worker, workers=workers, stop=stop, progress=lambda said: log(f"customers at Stripe: {said}")
    )
    return {customer_id: problem for customer_id, problem in results if problem is not None}


def ensure_customer(warehouse: Warehouse, api: StripeApi, customer_id: str, run_id: str) -> str:
    """Id at Stripe of one customer of ours, who gets one there if there is none yet.

    Raises:
        UserError: several customers at Stripe may be this one, or Stripe refused.
        StripeFailure: charging is paused, or Stripe cannot be asked.
    """
    [row] = warehouse.rows(_CUSTOMER, id=customer_id)
    known = row.pop("stripe_customer_id")
    if known is None:
        one = _Missing(**row)
        found = customers_there(api, customer_id, one.email)
        if (problem := _ensure(warehouse, api, one, found, run_id)) is not None:
            raise UserError(f"customer {customer_id} has none at Stripe: {problem.reason}")
        [row] = warehouse.rows(_CUSTOMER, id=customer_id)
        known = row["stripe_customer_id"]
    return str(known)


def _ensure(
    warehouse: Warehouse, api: StripeApi, customer: _Missing, found: Sequence[StripeCustomer], run_id: str
) -> CustomerProblem | None:
    try:
        if len(found) > 1:
            found = _used(api, found)
        if len(found) > 1:
            ids = ", ".join(sorted(one.id for one in found))
            return CustomerProblem("customer_ambiguous", f"several customers at Stripe are this one: {ids}", True)
        action = "stripe.customer.adopt" if found else "stripe.customer.create"
        at_stripe = found[0] if found else _create(warehouse, api, customer)
    except StripeFailure as failure:
        if failure.outcome is Outcome.STOP:
            raise
        definite = failure.outcome not in (Outcome.UNKNOWN, Outcome.RETRY)
        code = failure.code if failure.evidence.kind == "brake" else f"customer_{failure.code}"
        return CustomerProblem(code, str(failure.evidence), definite)
    parameters = {
        "customer_id": customer.customer_id,
        "stripe_customer_id": at_stripe.id,
        "action": action,
        "run_id": run_id,
    }
    try:
        with warehouse.transaction() as connection:
            connection.execute(text(load_sql("charging/customer_at_stripe.sql")), parameters)
    except IntegrityError:
        return CustomerProblem("customer_taken", f"{at_stripe.id} belongs to another customer of ours", True)
    return None


def _used(api: StripeApi, found: Sequence[StripeCustomer]) -> list[StripeCustomer]:
    """Those that anything was ever made for: nobody misses the others. Of several that are all unused, the oldest."""
    used = [one for one in found if one.has_payment_method or api.customer_is_used(one.id)]
    return used or [found[-1]]  # they are listed newest first


def create_instead(warehouse: Warehouse, api: StripeApi, customer_id: str, gone: str) -> StripeCustomer:
    """A customer at Stripe for one of ours whose customer there, `gone`, was deleted: made once, whoever asks.

    Raises:
        StripeFailure: charging is paused, or Stripe gave no definite answer.
    """
    [row] = warehouse.rows(_CUSTOMER, id=customer_id)
    del row["stripe_customer_id"]
    return _create(warehouse, api, _Missing(**row), gone)


def customers_there(api: StripeApi, customer_id: str, email: str) -> list[StripeCustomer]:
    """Customers at Stripe with this address that carry our key; if any was ever used, those that were."""
    found = [one for one in api.list_customers(email) if one.customer_id == customer_id]
    return _used(api, found) if len(found) > 1 else found


def _create(warehouse: Warehouse, api: StripeApi, customer: _Missing, instead_of: str | None = None) -> StripeCustomer:
    """Create the customer, walking along its keys.

    What was lost is looked for before it is sent again, so that two come of it only if Stripe had forgotten the key
    within a day, or showed the first one to nobody meanwhile. A key is left behind only when it will never create
    anything: Stripe repeats a stored 5xx under it, or stored another name or address with it. Everybody walks the same
    keys, so two at once get the same customer.
    """
    attempt = 1
    for sends in range(SENDS_MAX):
        try:
            with warehouse.transaction() as connection:
                require_permission(connection)
            key = customer_key(customer.customer_id, attempt, instead_of=instead_of)
            return api.create_customer(customer.customer_id, customer.name, customer.email, key=key)
        except StripeFailure as failure:
            evidence = failure.evidence
            if failure.outcome is not Outcome.UNKNOWN and evidence.kind != "idempotency":
                raise
            # the other that used the key may have written another address
            address = None if evidence.kind == "idempotency" else customer.email
            existing = [one for one in api.list_customers(address) if one.customer_id == customer.customer_id]
            if existing:
                return existing[0] if len(existing) == 1 else _used(api, existing)[0]
            if evidence.replayed or evidence.kind == "idempotency":
                attempt += 1
            if attempt > KEYS_MAX or sends == SENDS_MAX - 1:
                raise
    raise AssertionError("unreachable: the last send returns or raises")


_CUSTOMER = "SELECT customer_id, name, email, stripe_customer_id FROM billing.customers WHERE customer_id = :id"
_MISSING = """
SELECT DISTINCT cu.customer_id, cu.name, cu.email
FROM billing.stripe_charges AS c JOIN billing.customers AS cu USING (customer_id)
WHERE c.invoice_id = ANY(CAST(:invoices AS uuid[])) AND cu.stripe_customer_id IS NULL
ORDER BY 1
"""
