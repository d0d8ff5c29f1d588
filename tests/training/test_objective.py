import math

import pytest
import torch

from mixpref.training.objective import RunningDelta, first_loss, mpo_loss

LN2 = math.log(2)


def vector(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_first_loss_is_0_83178_and_the_nll():
    chosen, rejected = vector(-12.0, -30.0), vector(-7.0, -9.0)
    loss, parts = mpo_loss(chosen, rejected, chosen, rejected, torch.tensor([6, 10]))
    assert loss.item() == pytest.approx(0.8 * LN2 + 0.4 * LN2 + (2.0 + 3.0) / 2)
    assert first_loss() == pytest.approx(0.83178, abs=1e-5)
    assert parts.means()["dpo"].item() == pytest.approx(LN2)
    assert parts.means()["bco"].item() == pytest.approx(2 * LN2)


# Rewards by hand: r_c = 0.1 (-10 + 20) = 1, r_r = 0.1 (-30 + 10) = -2; |y_c| = 4.
@pytest.mark.parametrize(
    ("delta", "bco"),
    [(0.0, -math.log(sigmoid(1)) - math.log(sigmoid(2))), (0.5, -math.log(sigmoid(0.5)) - math.log(sigmoid(2.5)))],
)
def test_parts_by_hand(delta, bco):
    loss, parts = mpo_loss(vector(-10.0), vector(-30.0), vector(-20.0), vector(-10.0), torch.tensor([4]), delta=delta)
    assert parts.chosen_rewards.item() == pytest.approx(1.0)
    assert parts.rejected_rewards.item() == pytest.approx(-2.0)
    assert parts.dpo.item() == pytest.approx(-math.log(sigmoid(3)))
    assert parts.dpo.item() == pytest.approx(0.0485873516)
    assert parts.bco.item() == pytest.approx(bco)
    assert parts.sft.item() == pytest.approx(2.5)
    assert loss.item() == pytest.approx(0.8 * 0.0485873516 + 0.2 * bco + 2.5)


def test_gradients_by_hand():
    chosen, rejected = vector(-10.0), vector(-30.0)
    reference = vector(-20.0), vector(-10.0)
    loss, _ = mpo_loss(chosen, rejected, *reference, torch.tensor([4]), delta=0.5, beta=0.1)
    loss.backward()
    preference = 0.8 * 0.1 * -sigmoid(-3)
    assert chosen.grad.item() == pytest.approx(preference - 0.2 * 0.1 * sigmoid(-0.5) - 1 / 4)
    assert rejected.grad.item() == pytest.approx(-preference + 0.2 * 0.1 * sigmoid(-2.5))
    assert reference[0].grad is None
    assert reference[1].grad is None


def test_delta_is_a_constant_to_the_gradient():
    delta = torch.tensor(0.3, requires_grad=True)
    mpo_loss(vector(-1.0), vector(-2.0), vector(-1.5), vector(-1.0), torch.tensor([1]), delta=delta)[0].backward()
    assert delta.grad is None


def test_sft_is_a_mean_over_responses_not_over_tokens():
    logps, other = vector(-2.0, -30.0), vector(-1.0, -1.0)
    _, parts = mpo_loss(logps, other, logps, other, torch.tensor([1, 10]))
    assert parts.means()["sft"].item() == pytest.approx((2 + 3) / 2)


def test_a_part_without_weight_is_left_out():
    impossible, possible = vector(-math.inf), vector(-3.0)
    loss, _ = mpo_loss(
        possible, impossible, possible, impossible, torch.tensor([3]), dpo_weight=0, bco_weight=0, sft_weight=2
    )
    assert loss.item() == pytest.approx(2.0)


def test_running_delta_is_the_mean_of_all_rewards():
    delta = RunningDelta()
    assert delta.value == 0
    assert delta.update(torch.tensor([1.0, -2.0])) == pytest.approx(-0.5)
    assert delta.update(torch.tensor([4.0, 4.0, 4.0])) == pytest.approx(11 / 5)
    assert delta.update(torch.tensor([])) == pytest.approx(11 / 5)


def test_running_delta_comes_back_from_its_state():
    delta, other = RunningDelta(), RunningDelta()
    delta.update(torch.tensor([0.1, 0.7]))
    other.load_state_dict(delta.state_dict())
    more = torch.tensor([0.3])
    assert other.value == delta.value
    assert other.update(more) == delta.update(more)


def test_running_delta_does_not_lose_small_rewards():
    delta = RunningDelta()
    delta.update(torch.full((1,), 1e8))
    for _ in range(100):
        delta.update(torch.full((1,), 0.01))
    assert delta.total - 1e8 == pytest.approx(1.0, rel=1e-4)
