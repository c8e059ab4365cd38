"""No more calls than allowed, and no moment unused while somebody waits."""

from billing_pipeline.stripe_gateway.limits import RateLimits


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def moments(limits: RateLimits, clock: Clock, endpoints: list[str]) -> list[float]:
    found = []
    for endpoint in endpoints:
        limits.wait(endpoint)
        found.append(clock.now)
    return found


def test_calls_to_an_endpoint_are_spread_evenly_after_a_small_burst() -> None:
    clock = Clock()
    found = moments(RateLimits(0, 20, clock=clock, sleep=clock.sleep), clock, ["create"] * 201)
    assert 198 / 20 <= found[-1] - found[0] <= 200 / 20
    for index in range(len(found) - 20):
        assert sum(one < found[index] + 1 - 1e-9 for one in found[index:]) <= 22


def test_endpoints_do_not_wait_for_each_other_and_all_share_the_total() -> None:
    clock = Clock()
    found = moments(RateLimits(80, 20, clock=clock, sleep=clock.sleep), clock, ["a", "b", "c", "d"] * 50)
    assert 190 / 80 <= found[-1] - found[0] <= 205 / 80


def test_a_pause_saves_up_no_more_than_a_tenth_of_a_second() -> None:
    clock = Clock()
    limits = RateLimits(100, 0, clock=clock, sleep=clock.sleep)
    moments(limits, clock, ["x"] * 5)
    clock.now += 60
    found = moments(limits, clock, ["x"] * 30)
    assert sum(one == found[0] for one in found) <= 10
