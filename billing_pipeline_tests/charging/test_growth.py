"""More threads are wanted only while Stripe answers and nearly nobody waits for a moment to call."""

from dataclasses import dataclass
from typing import cast

from billing_pipeline.charging.circuit_breaker import GuardedStripe
from billing_pipeline.charging.growth import WAITING_ENOUGH, Growth


@dataclass
class Api:
    callers_waiting: int | None = 0
    answers: int = 0


def growth(api: Api) -> Growth:
    return Growth(cast("GuardedStripe", api))


def test_more_are_wanted_after_a_quarter_as_many_answers_as_there_are_threads() -> None:
    api = Api()
    wanted = growth(api)
    api.answers = 5
    assert not wanted.is_wanted(24)
    api.answers = 6
    assert wanted.is_wanted(24)
    api.answers = 17
    assert not wanted.is_wanted(48)
    api.answers = 18
    assert wanted.is_wanted(48)


def test_no_more_are_wanted_while_others_wait_for_their_moment_or_nothing_limits_the_calls() -> None:
    assert not growth(Api(callers_waiting=WAITING_ENOUGH, answers=0)).is_wanted(0)
    assert not growth(Api(callers_waiting=None)).is_wanted(0)
    assert growth(Api(callers_waiting=WAITING_ENOUGH - 1)).is_wanted(0)
