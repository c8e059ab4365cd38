"""What a change of contract withdraws and adds among a customer's terms. Pure: days and states, no clock.

A customer's terms are in order of their first day; each holds until the next one. A customer without any is active from
its first evidence on, which one term without a day says too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

ACTIVE, PAUSED, ENDED = "active", "paused", "ended"


class ContractRefused(ValueError):  # noqa: N818 - reads as what happened
    """The change makes no sense on that day; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Term:
    """What holds from a day on: `effective_on` None is the customer's first evidence."""

    effective_on: date | None
    state: str
    plan: str | None = None
    trial_until: date | None = None
    """Last day of the contract's trial, the day before `effective_on` for none; None: as its plan says."""


@dataclass(frozen=True, slots=True)
class Change:
    """Terms that no longer hold, and those that hold instead."""

    withdrawn: tuple[Term, ...]
    added: tuple[Term, ...]


INFERRED = Term(None, ACTIVE)


def start(terms: Sequence[Term], on: date, plan: str | None = None, trial_until: date | None = None) -> Change:
    """A contract that starts on this day, or the contract that runs then, or comes next, starts on it instead."""
    if trial_until is not None and trial_until < on:
        raise ContractRefused(f"expected a trial that ends on {on} or later, found {trial_until}")
    before, after = _around(terms, on)
    own = _run_of(before)
    if own:  # it runs on that day: what came before never was, and the plan of the day stays
        said = trial_until or max((term.trial_until for term in own if term.trial_until), default=None)
        return Change(own, (Term(on, ACTIVE, plan or own[-1].plan, _from(on, said)),))
    same_day = tuple(term for term in before if term.effective_on == on)
    if after and after[0].state == ACTIVE:
        said = _from(on, trial_until or after[0].trial_until)
        return Change((*same_day, after[0]), (Term(on, ACTIVE, plan or after[0].plan, said),))
    return Change(same_day, (Term(on, ACTIVE, plan, trial_until),))


def set_trial(terms: Sequence[Term], on: date, until: date | None) -> Change:
    """The contract that runs on this day has its trial until `until`, inclusive; None: it has no trial."""
    _in_force(terms, on, ACTIVE)
    run = _run_of(_around(terms, on)[0])
    if not run or run[0].effective_on is None:
        raise ContractRefused("nobody said when its contract starts: say so first, by `billing customers start`")
    first = run[0].effective_on
    if until is not None and until < first:
        raise ContractRefused(f"expected a trial that ends on {first} or later, found {until}")
    said = until or first - timedelta(days=1)
    others = tuple(replace(term, trial_until=None) for term in run[1:] if term.trial_until)
    return Change(
        (run[0], *(term for term in run[1:] if term.trial_until)), (replace(run[0], trial_until=said), *others)
    )


def end(terms: Sequence[Term], on: date) -> Change:
    """The contract ends with this day, its last; terms of it that were to come never begin."""
    known = tuple(terms) or (INFERRED,)
    first_day_after = on + timedelta(days=1)
    before, after = _around(known, on)
    if not before:
        raise ContractRefused(f"expected a day on which a contract runs, the first starts on {after[0].effective_on}")
    withdrawn = [before[-1]] if before[-1].state == ENDED else []
    if before[-1].state == ENDED and len(before) == 1:
        raise ContractRefused("expected a day on which a contract runs, found none before it")
    if not withdrawn:
        for term in after:
            if term.state == ENDED:
                withdrawn.append(term)
                break
            withdrawn.append(term)
    elif after and after[0].effective_on == first_day_after:
        raise ContractRefused(f"another contract starts on {first_day_after}, the day after")
    return _change(terms, withdrawn, Term(first_day_after, ENDED))


def change_plan(terms: Sequence[Term], on: date, plan: str | None) -> Change:
    """Another plan from this day on; the last change of a day holds."""
    now = _in_force(terms, on, ACTIVE)
    if now.plan == plan:
        raise ContractRefused(f"is on {_named(plan)} on {on} already")
    of_the_day = now.effective_on == on
    return _change(terms, [now] if of_the_day else [], Term(on, ACTIVE, plan, now.trial_until if of_the_day else None))


def pause(terms: Sequence[Term], on: date) -> Change:
    """Not billed from this day on, until resumed."""
    now = _in_force(terms, on, ACTIVE)
    return _change(terms, [now] if now.effective_on == on else [], Term(on, PAUSED))


def resume(terms: Sequence[Term], on: date) -> Change:
    """Billed again from this day on, on the plan of before."""
    now = _in_force(terms, on, PAUSED)
    before, _ = _around(terms, on)
    plan = next((term.plan for term in reversed(before) if term.state == ACTIVE), None)
    return _change(terms, [now] if now.effective_on == on else [], Term(on, ACTIVE, plan))


def withdraw(terms: Sequence[Term], on: date) -> Change:
    """What was to hold from exactly this day on never does; what held before goes on."""
    found = tuple(term for term in terms if term.effective_on == on)
    if not found:
        days = ", ".join(str(term.effective_on) for term in terms if term.effective_on) or "none"
        raise ContractRefused(f"expected a day on which something changes: {days}")
    return Change(found, ())


def _around(terms: Sequence[Term], on: date) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """Terms that hold from this day or an earlier one on, and later ones."""
    ordered = sorted(terms, key=lambda term: term.effective_on or date.min)
    before = tuple(term for term in ordered if term.effective_on is None or term.effective_on <= on)
    return before, tuple(ordered[len(before) :])


def _run_of(before: Sequence[Term]) -> tuple[Term, ...]:
    """The terms of the contract that runs at the end of these; none if it is not active."""
    run: list[Term] = []
    for term in reversed(before):
        if term.state != ACTIVE:
            break
        run.insert(0, term)
    return tuple(run)


def _in_force(terms: Sequence[Term], on: date, state: str) -> Term:
    before, _ = _around(tuple(terms) or (INFERRED,), on)
    found = before[-1].state if before else "without a contract"
    if found != state:
        raise ContractRefused(f"is {found} on {on}: expected a day on which it is {state}")
    return before[-1]


def _change(terms: Sequence[Term], withdrawn: Sequence[Term], added: Term) -> Change:
    """Terms that nobody wrote yet are written with the first change, for the day before it still needs them."""
    base = () if terms else (INFERRED,)
    return Change(tuple(term for term in withdrawn if term in terms), (*base, added))


def _from(on: date, until: date | None) -> date | None:
    """The day, or the one before the contract's first where it is earlier: no trial."""
    return None if until is None else max(until, on - timedelta(days=1))


def _named(plan: str | None) -> str:
    return "no plan" if plan is None else f"plan {plan}"
