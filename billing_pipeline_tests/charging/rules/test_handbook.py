"""The operator's handbook says what to do about every reason for which a charge parks."""

import re

from billing_pipeline.settings import ROOT
from billing_pipeline.stripe_gateway.rules.errors import NOT_IN_TABLE, TABLE, Outcome

HANDBOOK = (ROOT / "docs" / "parked-charges.md").read_text(encoding="utf-8")
CODES = (
    "charging/rules/charge_at_stripe.py",
    "charging/rules/next_step.py",
    "charging/customers.py",
    "charging/workers.py",
    "charging/follow_up_runs.py",
)
PARKING = re.compile(
    r'(?:Park|Contradicts|CustomerProblem)\((?:[\w ,]+, )?"(\w+)"|"parked",\s+reason_code="(\w+)"|\("(\w+_differs)", '
)


def test_every_answer_that_parks_is_in_the_handbook() -> None:
    answers = {verdict.reason_code for verdict in TABLE.values() if verdict.outcome is Outcome.PARK}
    assert {code for code in (*answers, NOT_IN_TABLE.reason_code) if f"### {code}\n" not in HANDBOOK} == set()


def test_every_decision_that_parks_is_in_the_handbook() -> None:
    sources = [(ROOT / "billing_pipeline" / name).read_text(encoding="utf-8") for name in CODES]
    codes = {code for text in sources for found in PARKING.findall(text) for code in found if code}
    known = {"duplicate_at_stripe", "customer_ambiguous", "refused_by_database", "outcome_unknown", "currency_differs"}
    assert known <= codes
    assert {code for code in codes if f"### {code}\n" not in HANDBOOK} == set()
