"""A shorter part of `make storm`: each promise at a size that fits between the other tests."""

import pytest

from billing_pipeline_tests.storm.__main__ import SMALL, proofs
from billing_pipeline_tests.storm.beside import Beside
from billing_pipeline_tests.storm.figures import Figures


@pytest.fixture(scope="module")
def found() -> dict[str, Figures]:
    return {figures.name: figures for figures in proofs(SMALL, seed=1, say=lambda _: None)}


@pytest.mark.parametrize(
    "name",
    [
        "start_and_memory",
        "rotation",
        "slow_connections",
        "fuzz",
        "odd_json",
        "storm",
        "poison",
        "reconciliation",
        "outage",
    ],
)
def test_it_holds(found: dict[str, Figures], name: str):
    assert found[name].broken == []


def test_the_storm_was_one(found: dict[str, Figures]):
    storm = found["storm"].values
    assert storm["shuffles_that_end_as_in_order"] == storm["shuffles"] == 2
    assert storm["attempts_unanswered"] > 0
    assert storm["attempts_503"] > 0
    assert found["fuzz"].values["requests"] == 800
    assert found["outage"].values["recovered"] > 100


def test_a_promise_that_does_not_hold_is_told():
    figures = Figures("x")
    figures.expect(True, "unseen")
    figures.expect(False, "1 of 2")
    assert figures.broken == ["x: 1 of 2"]


def test_a_proof_beside_the_others_that_ends_without_figures_does_not_hold():
    with Beside("odd_json", seed=1, within_s=60) as beside:
        beside.process.kill()
        assert beside.figures().broken == ["odd_json: it ended with -9, without figures"]
