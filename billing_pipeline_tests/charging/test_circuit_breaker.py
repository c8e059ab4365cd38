"""An outage of Stripe: few calls while it lasts, everything charged once afterwards. The clock is a fake one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.charging.circuit_breaker import CircuitBreaker, unanswered
from billing_pipeline.charging.follow_up_runs import follow_up
from billing_pipeline.charging.rules.brakes import FAILURES_MAX, PROBE_EVERY
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.errors import Evidence, StripeFailure, classify
from billing_pipeline_tests.charging.world import KEY, NO_EXPECTATION, Bill, World

START = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class Downable(StripeGateway):
    """Loses every call while it is down; goes down by itself before its n-th payment."""

    def __init__(self, base_url: str, *, pays_before_outage: int | None = None) -> None:
        super().__init__(KEY, base_url, sleep=lambda _: None)
        self.down = pays_before_outage == 0
        self._pays_left = pays_before_outage or None

    def call(self, endpoint: str, send: Callable[[], Any]) -> Any:
        if endpoint == "invoices.pay" and self._pays_left is not None:
            self._pays_left -= 1
            if self._pays_left < 0:
                self.down, self._pays_left = True, None
        if self.down:
            self._calls += 1
            evidence = Evidence("connection", message="Stripe is down")
            raise StripeFailure(classify(evidence), evidence)
        return super().call(endpoint, send)


def test_six_hours_of_outage_cost_at_most_400_calls_and_then_everything_is_charged_once(world: World) -> None:
    names = [f"c{number:02}" for number in range(30)]
    world.bill(*(Bill(name) for name in names))
    clock, api = Clock(), Downable(world.stripe.base_url, pays_before_outage=5)
    world.charge(api, clock=clock, workers=24)
    before = [name for name, state in world.states().items() if state[0] == "paid"]
    calls = api.calls_made
    brakes: set[str] = set()
    for _ in range(6 * 60):  # a pass a minute, which is more than the janitor would do
        clock.advance(minutes=1)
        report = world.charge(api, clock=clock, workers=24)
        assert report.pending
        brakes |= {brake.code for brake in report.brakes}
    during = api.calls_made - calls
    assert len(before) < 30
    assert during <= 400
    assert "stripe_unavailable" in brakes
    assert brakes <= {"stripe_unavailable", "canary_unsettled"}
    api.down = False
    clock.advance(minutes=2)
    assert world.charge(api, clock=clock).brakes == ()
    assert set(world.states().values()) == {("paid", None)}
    assert set(world.stripe.payments().values()) == {1}
    assert len(world.stripe.invoices()) == 30
    actions = world.warehouse.rows(
        "SELECT action FROM billing.automation_log WHERE object_id = 'circuit_breaker' ORDER BY log_id"
    )
    assert [row["action"] for row in actions] == ["circuit.open", "circuit.close"]


def test_the_janitor_goes_on_by_itself_after_an_outage(world: World) -> None:
    world.bill(*(Bill(f"c{number:02}") for number in range(12)))
    clock, api = Clock(), Downable(world.stripe.base_url, pays_before_outage=0)
    clock.now = datetime.now(UTC)
    settings: dict[str, Any] = {"log": world.said.append, "limits": NO_EXPECTATION, "clock": clock, "workers": 4}
    world.charge(api, clock=clock)
    for _ in range(24):
        clock.advance(minutes=15)
        follow_up(world.warehouse, api, "janitor", **settings)
    assert {state for state, _ in world.states().values()} == {"intended"}
    api.down = False
    for _ in range(3):
        clock.advance(minutes=10)
        follow_up(world.warehouse, api, "janitor", **settings)
    assert set(world.states().values()) == {("paid", None)}
    assert set(world.stripe.payments().values()) == {1}


@pytest.fixture
def breaker(warehouse: Warehouse) -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    return CircuitBreaker(warehouse, clock), clock


def test_one_failure_less_leaves_the_circuit_closed_and_an_answer_forgets_them(breaker: Any) -> None:
    circuit, _ = breaker
    for _ in range(3):
        for _ in range(FAILURES_MAX - 1):
            circuit.failed()
        circuit.before_call()
        circuit.answered()


def test_an_open_circuit_lets_one_probe_through_a_while_for_all_processes(warehouse: Warehouse, breaker: Any) -> None:
    circuit, clock = breaker
    for _ in range(FAILURES_MAX):
        circuit.failed()
    other = CircuitBreaker(warehouse, clock)  # as in another process
    for one in (circuit, other):
        assert one.holds
        with pytest.raises(StripeFailure, match=r"stripe_unavailable.*20 calls in a row had no answer"):
            one.before_call()
    clock.now += PROBE_EVERY
    circuit.before_call()
    with pytest.raises(StripeFailure, match="none is made before"):
        other.before_call()
    circuit.failed()
    assert circuit.holds
    clock.now += PROBE_EVERY
    other.before_call()
    other.answered()
    circuit.before_call()
    brakes = read_brakes(warehouse)
    assert (brakes.on(), brakes.consecutive_failures) == ([], 0)


def test_failures_of_earlier_passes_count(warehouse: Warehouse, breaker: Any) -> None:
    circuit, clock = breaker
    for _ in range(FAILURES_MAX - 1):
        circuit.failed()
    circuit.remember()
    following = CircuitBreaker(warehouse, clock)
    following.failed()
    assert following.holds


@pytest.mark.parametrize(
    ("evidence", "down"),
    [
        (Evidence("connection"), True),
        (Evidence("server", status=500), True),
        (Evidence("server", status=500, replayed=True), False),
        (Evidence("conflict", status=409), False),
        (Evidence("rate_limit", status=429), True),
        (Evidence("card", "card_declined", status=402), False),
        (Evidence("not_found", status=404), False),
    ],
)
def test_only_a_missing_answer_counts_against_stripe(evidence: Evidence, down: bool) -> None:
    assert unanswered(StripeFailure(classify(evidence), evidence)) == down


def test_a_guarded_api_has_every_operation_of_the_real_one() -> None:
    from billing_pipeline.charging.circuit_breaker import GuardedStripe
    from billing_pipeline.stripe_gateway.rules.api import StripeApi

    operations = {name for name in vars(StripeApi) if not name.startswith("_")}
    assert operations <= {name for name in dir(GuardedStripe) if not name.startswith("_")}
