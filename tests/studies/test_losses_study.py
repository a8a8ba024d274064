"""The loss study: what differs is found, what does not is not claimed, and the whole of it runs."""

import numpy as np
import pytest

from studies.losses import ARMS, Budget, Outcome, against, level, study
from studies.losses_page import conclusions, differences, page

SEEDS = (1, 2, 3)


def outcome(arm, seed, accuracy, nll, place="last"):
    draw = np.random.default_rng([seed, *arm.encode()])
    tokens = draw.integers(10, 30, 200)
    hits = tuple(bool(hit) for hit in draw.random(200) < accuracy)
    sums = tuple((tokens * nll * draw.uniform(0.8, 1.2, 200)).tolist())
    ood = {"ood-domain": hits, "ood-longer": hits}
    return Outcome(
        arm, seed, 1e-3, place, "checkpoint-9", 3.0, "healthy", sums, tuple(tokens.tolist()), hits, ood,
        tuple(map(float, hits)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def outcomes():
    made = [("nll", 0.8, 0.30), ("mar", 0.8, 0.30), ("focal", 0.8, 0.50)]
    return [
        outcome(*one[:1], seed, *one[1:], place) for one in made for seed in SEEDS for place in ("last", "recommended")
    ]


def test_a_level_is_the_mean_over_seeds_with_its_interval(outcomes):
    mine = [o for o in outcomes if o.arm == "focal" and o.place == "last"]
    result = level(mine, "test nll, nats/token")
    assert result.low < 0.5 < result.high
    assert result.n == 3


def test_the_difference_of_a_loss_from_itself_is_zero(outcomes):
    plain = [o for o in outcomes if o.arm == "nll" and o.place == "last"]
    assert against(plain, plain, "test accuracy").value == 0.0


def test_only_what_differs_is_claimed_to_differ(outcomes):
    arms = ["nll", "mar", "focal"]
    made = differences(outcomes, arms, "last")
    assert made["focal", "test nll, nats/token"][1] < 0.05
    assert made["mar", "test nll, nats/token"][1] > 0.05
    text = "\n".join(conclusions(outcomes, arms))
    assert "focal: test nll" in text
    assert "mar:" not in text


def test_every_loss_of_the_family_has_an_arm():
    from overmem.losses import LOSSES

    assert {arm.get("loss", "nll") for arm in ARMS.values()} == set(LOSSES)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_study_runs_resumes_and_writes_its_page(tmp_path):
    budget = Budget(train=16, epochs=2.0, batch_size=8, checkpoints=2, val=8, test=8, side=4)
    lines = []
    result = study(tmp_path, budget, ["nll", "rho"], [1, 2], 1, lines.append)
    assert {(o["arm"], o["seed"]) for o in result["outcomes"]} == {(a, s) for a in ("nll", "rho") for s in (1, 2)}
    assert all(len(o["correct"]) == 8 and len(o["passed"]) == 4 for o in result["outcomes"])
    text = page(result)
    assert "{" not in text.replace("{question}", "")
    assert "| rho |" in text
    assert study(tmp_path, budget, ["nll", "rho"], [1, 2], 1, lines.append)["outcomes"] == result["outcomes"]
