"""What is remembered is never shown after something has changed, nor when it is old."""

from billing_pipeline.web.pages.remembering import LASTS_S, Remembered
from billing_pipeline_tests.web.pages.conftest import Site, csrf_of


def test_a_value_is_made_again_for_another_marker_or_when_it_is_old() -> None:
    at = [0.0]
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return len(made)

    remembered = Remembered(lambda: at[0])
    assert [remembered.get("month", "a", make) for _ in range(2)] == [1, 1]
    assert remembered.get("month", "b", make) == 2
    assert remembered.get("another", "b", make) == 3
    at[0] = LASTS_S
    assert remembered.get("month", "b", make) == 4


def test_the_month_tells_of_a_hold_at_once(site: Site) -> None:
    client = site.console()
    assert "a doubt" not in client.get("/console/months/2026-10").text
    form = "/console/do/months/hold/2026-10"
    client.post(form, data={"csrf": csrf_of(client.get(form).text), "reason": "a doubt"})
    assert "a doubt" in client.get("/console/months/2026-10").text
