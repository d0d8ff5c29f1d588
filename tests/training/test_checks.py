import math

import pytest

from mixpref.errors import MixprefError
from mixpref.training.checks import check_finite, check_first_loss
from mixpref.training.config import MPOConfig
from mixpref.training.metrics import SUMS


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_told_with_its_parts(loss):
    means = dict.fromkeys(SUMS, 1.5) | {"loss": loss, "loss/dpo": loss}
    with pytest.raises(
        MixprefError, match=rf"the loss of step 7 is {loss} \(loss/dpo {loss}, loss/bco 1.5, .*learning_rate"
    ):
        check_finite(means, 7)
    check_finite(means | {"loss": 3.0}, 7)


def test_the_first_loss_may_be_off_by_one_per_cent(tmp_path, capsys):
    args = MPOConfig(output_dir=str(tmp_path), sft_weight=0.5, use_cpu=True)
    expected = 0.8 * math.log(2) + 0.4 * math.log(2) + 0.5 * 3.0
    check_first_loss({"loss": 1.009 * expected, "reference_nll": 3.0}, args)
    assert f"expected 0.83178 + 0.5 NLL = {expected:.5f}, found {1.009 * expected:.5f}" in capsys.readouterr().err
    for factor in (0.989, 1.011):
        with pytest.raises(MixprefError, match="the policy is not the reference"):
            check_first_loss({"loss": factor * expected, "reference_nll": 3.0}, args)
    args.check_first_loss = False
    check_first_loss({"loss": 2 * expected, "reference_nll": 3.0}, args)
