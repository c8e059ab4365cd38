"""Terms of a contract: what a change withdraws and adds."""

from datetime import date

import pytest

from billing_pipeline.customers.rules import contract_terms as rules
from billing_pipeline.customers.rules.contract_terms import ACTIVE, ENDED, PAUSED, Change, ContractRefused, Term


def october(day: int) -> date:
    return date(2026, 10, day)


def after(terms: list[Term], change: Change) -> list[Term]:
    left = [term for term in terms if term not in change.withdrawn]
    return sorted([*left, *change.added], key=lambda term: term.effective_on or date.min)


FROM_THE_20TH = [Term(october(20), ACTIVE, "basic")]
ENDED_ON_THE_10TH = [Term(october(1), ACTIVE), Term(october(11), ENDED)]


def test_a_customer_without_terms_starts_on_the_day_that_is_said():
    assert after([], rules.start([], october(20))) == [Term(october(20), ACTIVE)]


def test_a_start_that_was_wrong_moves_either_way_and_keeps_the_plan():
    assert after(FROM_THE_20TH, rules.start(FROM_THE_20TH, october(15))) == [Term(october(15), ACTIVE, "basic")]
    assert after(FROM_THE_20TH, rules.start(FROM_THE_20TH, october(25))) == [Term(october(25), ACTIVE, "basic")]


def test_an_inferred_start_is_replaced_by_the_one_that_is_said():
    terms = [Term(None, ACTIVE, "basic"), Term(october(25), ACTIVE, "pro")]
    assert after(terms, rules.start(terms, october(20))) == [
        Term(october(20), ACTIVE, "basic"),
        Term(october(25), ACTIVE, "pro"),
    ]


def test_who_comes_back_gets_another_contract():
    change = rules.start(ENDED_ON_THE_10TH, october(20))
    assert after(ENDED_ON_THE_10TH, change) == [*ENDED_ON_THE_10TH, Term(october(20), ACTIVE)]


def test_an_end_writes_down_that_the_customer_was_active_before():
    assert after([], rules.end([], october(10))) == [Term(None, ACTIVE), Term(october(11), ENDED)]


def test_an_end_moves_either_way_and_what_was_to_come_after_it_never_begins():
    assert after(ENDED_ON_THE_10TH, rules.end(ENDED_ON_THE_10TH, october(5)))[1] == Term(october(6), ENDED)
    assert after(ENDED_ON_THE_10TH, rules.end(ENDED_ON_THE_10TH, october(15)))[1] == Term(october(16), ENDED)
    terms = [*FROM_THE_20TH, Term(october(25), ACTIVE, "pro")]
    assert after(terms, rules.end(terms, october(22))) == [*FROM_THE_20TH, Term(october(23), ENDED)]


def test_an_end_needs_a_contract():
    with pytest.raises(ContractRefused, match="the first starts on 2026-10-20"):
        rules.end(FROM_THE_20TH, october(10))


def test_the_last_change_of_plan_of_a_day_holds_and_a_change_back_is_one():
    up = after(FROM_THE_20TH, rules.change_plan(FROM_THE_20TH, october(25), "pro"))
    assert up == [*FROM_THE_20TH, Term(october(25), ACTIVE, "pro")]
    down = after(up, rules.change_plan(up, october(25), "basic"))
    assert down == [*FROM_THE_20TH, Term(october(25), ACTIVE, "basic")]
    back = after(up, rules.change_plan(up, october(28), "basic"))
    assert back == [*up, Term(october(28), ACTIVE, "basic")]


def test_a_plan_that_holds_already_is_no_change():
    with pytest.raises(ContractRefused, match="is on plan basic on 2026-10-25 already"):
        rules.change_plan(FROM_THE_20TH, october(25), "basic")


def test_a_pause_ends_with_the_plan_of_before():
    paused = after(FROM_THE_20TH, rules.pause(FROM_THE_20TH, october(22)))
    assert paused == [*FROM_THE_20TH, Term(october(22), PAUSED)]
    with pytest.raises(ContractRefused, match="is paused on 2026-10-23: expected a day on which it is active"):
        rules.pause(paused, october(23))
    assert after(paused, rules.resume(paused, october(27)))[-1] == Term(october(27), ACTIVE, "basic")


def test_what_is_withdrawn_before_it_begins_never_holds():
    terms = [*FROM_THE_20TH, Term(october(25), ACTIVE, "pro")]
    assert after(terms, rules.withdraw(terms, october(25))) == FROM_THE_20TH
    with pytest.raises(ContractRefused, match="expected a day on which something changes: 2026-10-20, 2026-10-25"):
        rules.withdraw(terms, october(26))
