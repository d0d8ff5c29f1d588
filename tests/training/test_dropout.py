import torch
from torch import nn

from mixpref.training.data import PairDataset
from mixpref.training.dropout import disable_dropout
from mixpref.training.plain import PlainCollator, response_logps


def test_training_mode_is_the_same_function_as_evaluation_mode(model, processor, rows):
    pairs = PairDataset(rows, processor)
    batch = PlainCollator(processor)([pairs[0], pairs[1]])
    with torch.no_grad():
        expected, _ = response_logps(model.eval(), batch)
        assert not torch.allclose(response_logps(model.train(), batch)[0], expected)
        assert disable_dropout(model) > 0
        torch.testing.assert_close(response_logps(model.train(), batch)[0], expected)
    assert model.config.text_config.attention_dropout == 0
    assert disable_dropout(model) == 0


def test_all_kinds_of_rates():
    class Path(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop_prob = 0.2
            self.layer_norm_eps = 1e-6

    model = nn.Sequential(nn.Dropout(0.1), nn.Dropout2d(0.3), Path())
    assert disable_dropout(model) == 3
    assert [model[0].p, model[1].p, model[2].drop_prob] == [0, 0, 0]
    assert model[2].layer_norm_eps == 1e-6


def test_dropout_and_drop_path_are_apart():
    class Path(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop_path_rate = 0.2

    model = nn.Sequential(nn.Dropout(0.1), Path())
    assert disable_dropout(model, drop_path=False) == 1
    assert (model[0].p, model[1].drop_path_rate) == (0, 0.2)
    assert disable_dropout(model, dropout=False) == 1
    assert model[1].drop_path_rate == 0
