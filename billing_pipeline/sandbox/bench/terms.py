"""The benchmark's terms: a tenth of the customers on a commitment or discount, and what that costs a month's build."""

from collections.abc import Callable
from statistics import median

from sqlalchemy import text

from billing_pipeline.sandbox.bench.steps import Subject

SHARE = 10
"""One customer of so many has a term."""


def ratio_with_terms(subject: Subject, build: Callable[[], float], rounds: int) -> float:
    """Seconds of a month's build with terms by those without: the median of `rounds` pairs, one after the other."""
    _write(subject, _TERMS)
    ratios = []
    for _ in range(rounds):
        _write(subject, _OUT_OF_USE)
        without = build()
        _write(subject, _IN_USE)
        ratios.append(build() / without)
    return round(median(ratios), 2)


def _write(subject: Subject, statement: str) -> None:
    with subject.warehouse.transaction() as connection:
        connection.execute(text(statement), {"share": SHARE})


_TERMS = """
INSERT INTO billing.terms
(term_id, kind, name, currency, version_id, effective_from, customer_id, amount, percent, position, retired_at)
SELECT
    gen_random_uuid(), k.kind, 'bench', v.currency, v.version_id, v.effective_from, c.customer_id,
    CASE WHEN k.kind = 'commitment' THEN 1000 END, CASE WHEN k.kind = 'discount' THEN 12.5 END, 0, clock_timestamp()
FROM (
    SELECT customer_id, currency, row_number() OVER (ORDER BY customer_id) AS nth FROM billing.customers
) AS c
CROSS JOIN LATERAL (SELECT CASE WHEN c.nth % (2 * :share) = 0 THEN 'commitment' ELSE 'discount' END AS kind) AS k
JOIN billing.price_versions AS v USING (currency)
WHERE c.nth % :share = 0
"""
_IN_USE = "UPDATE billing.terms SET retired_at = NULL WHERE name = 'bench'"
_OUT_OF_USE = "UPDATE billing.terms SET retired_at = clock_timestamp() WHERE name = 'bench'"
