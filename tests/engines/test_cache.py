import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, StaticCache

from mixpref.engines import cache
from mixpref.engines.cache import GrowingLayer, is_of_rows, take_rows


def filled(rows=2, tokens=5):
    layer = DynamicLayer()
    layer.update(torch.randn(rows, 2, tokens, 4), torch.randn(rows, 2, tokens, 3))
    return layer


def test_a_growing_layer_holds_what_a_dynamic_layer_holds(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(cache, "_ROOM", 2)
    plain = filled()
    growing = GrowingLayer(plain.keys, plain.values)
    places = [torch.tensor([0, 0, 1, 1, 1]), torch.tensor([4, 1]), torch.tensor([1])]
    for step in range(9):
        if step % 3 == 0:
            plain.reorder_cache(places[step // 3])
            growing.reorder_cache(places[step // 3])
        new = torch.randn(len(plain.keys), 2, 1, 4), torch.randn(len(plain.keys), 2, 1, 3)
        for one, other in zip(plain.update(*new), growing.update(*new), strict=True):
            assert torch.equal(one, other)
        assert growing.get_seq_length() == plain.get_seq_length() == 6 + step
        assert growing.get_mask_sizes(1) == plain.get_mask_sizes(1)


def test_a_growing_layer_seldom_moves():
    plain = filled()
    growing = GrowingLayer(plain.keys, plain.values)
    growing.update(plain.keys[..., :1, :], plain.values[..., :1, :])
    where = growing.keys.data_ptr()
    for _ in range(100):
        growing.update(plain.keys[..., :1, :], plain.values[..., :1, :])
    assert growing.keys.data_ptr() == where


def test_rows_are_copies(monkeypatch):
    made = DynamicCache()
    made.update(torch.ones(1, 1, 2, 1), torch.ones(1, 1, 2, 1), 0)
    take_rows(made, torch.tensor([0, 0]))
    keys, _ = made.update(torch.tensor([[[[2.0]]], [[[3.0]]]]), torch.zeros(2, 1, 1, 1), 0)
    assert keys.flatten().tolist() == [1, 1, 2, 1, 1, 3]


def test_only_caches_that_are_known_give_rows():
    class Other(DynamicLayer):
        pass

    made = DynamicCache()
    made.update(torch.ones(1, 1, 2, 1), torch.ones(1, 1, 2, 1), 0)
    assert is_of_rows(made)
    made.layers[0] = Other()
    assert not is_of_rows(made)
    assert not is_of_rows(None)
    assert not is_of_rows(StaticCache.__new__(StaticCache))
