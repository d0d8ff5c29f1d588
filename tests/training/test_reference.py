import copy

import pytest
import torch
from peft import LoraConfig

from mixpref.errors import MixprefError
from mixpref.training import reference
from mixpref.training.reference import fingerprint
from mixpref.training.trainer import MPOConfig, MPOTrainer

from .conftest import make_row


@pytest.fixture
def build(model, processor, related, tmp_path):
    initial = model.double()

    def build(rows=related, model=initial, **settings):
        more = {name: settings.pop(name) for name in ("eval_dataset", "ref_model", "peft_config") if name in settings}
        defaults = {
            "output_dir": str(tmp_path / "out"),
            "batch_size": 4,
            "learning_rate": 1e-2,
            "warmup_steps": 0,
            "save_strategy": "no",
            "optim": "sgd",
            "disable_tqdm": True,
            "use_cpu": True,
        }
        return MPOTrainer(
            copy.deepcopy(model),
            MPOConfig(**{**defaults, **settings}),
            train_dataset=rows,
            processing_class=processor,
            **more,
        )

    return build


def history(trainer):
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def assert_same(one, other):
    for left, right in zip(history(one), history(other), strict=True):
        assert left == pytest.approx(right, rel=1e-6, abs=1e-6)


def count_passes(monkeypatch):
    """Grows by the responses of every pass of the reference."""
    passes = []
    compute = reference.Reference._compute

    def counting(self, policy, batch):
        passes.append(len(batch["lengths"]))
        return compute(self, policy, batch)

    monkeypatch.setattr(reference.Reference, "_compute", counting)
    return passes


@pytest.mark.parametrize("step", ["shared", "plain"])
def test_cached_equals_in_step(build, step):
    cached = build(step=step, num_train_epochs=2)
    cached.train()
    in_step = build(step=step, num_train_epochs=2, reference="in_step")
    in_step.train()
    assert cached.reference.model is None
    assert_same(cached, in_step)


def test_each_response_is_computed_once(build, monkeypatch):
    passes = count_passes(monkeypatch)
    trainer = build(num_train_epochs=3, batch_size=11, per_device_train_batch_size=11)
    trainer.train()
    assert len(trainer.train_dataset.keys()) < 22
    assert sum(passes) == len(trainer.train_dataset.keys())


def test_the_cache_serves_the_next_training_of_the_same_model(build, tmp_path, monkeypatch):
    passes = count_passes(monkeypatch)
    first = build(reference_cache=str(tmp_path / "cache"))
    first.train()
    assert passes
    passes.clear()
    # Other weights of the losses, as the baselines have them; and one row that is new.
    second = build(reference_cache=str(tmp_path / "cache"), dpo_weight=0.5)
    second.train()
    assert not passes
    rows = [*second.train_dataset.rows, make_row(77)]
    build(rows=rows, reference_cache=str(tmp_path / "cache")).train()
    assert sum(passes) == 2


def test_a_cache_of_another_model_is_refused(build, model, tmp_path):
    build(reference_cache=str(tmp_path / "cache")).train()
    with torch.no_grad():
        model.model.language_model.layers[0].mlp.up_proj.weight.mul_(1.001)
    with pytest.raises(MixprefError, match=r"of another model .* delete it"):
        build(reference_cache=str(tmp_path / "cache"))


def test_an_interrupted_cache_goes_on(build, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "_SHARD", 1)
    compute, done = reference.Reference._compute, []

    def dying(self, policy, batch):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(len(batch["lengths"]))
        return compute(self, policy, batch)

    monkeypatch.setattr(reference.Reference, "_compute", dying)
    with pytest.raises(KeyboardInterrupt):
        build(reference_cache=str(tmp_path / "cache")).train()
    monkeypatch.setattr(reference.Reference, "_compute", compute)
    passes = count_passes(monkeypatch)
    trainer = build(reference_cache=str(tmp_path / "cache"))
    trainer.train()
    assert 0 < sum(passes) <= len(trainer.train_dataset.keys()) - max(done)


def test_rows_that_come_after_the_training_need_a_reference_in_step(build):
    trainer = build(eval_dataset=[make_row(30)])
    trainer.train()
    trainer.evaluate()
    with pytest.raises(MixprefError, match="reference='in_step'"):
        trainer.evaluate([make_row(31)])
    late = build(reference="in_step")
    late.train()
    late.evaluate([make_row(31)])


def test_another_reference_can_be_cached(build, model):
    other = copy.deepcopy(model).double()
    with torch.no_grad():
        other.get_input_embeddings().weight.mul_(1.2)
    runs = [build(ref_model=copy.deepcopy(other), check_first_loss=False, reference=r) for r in ("cached", "in_step")]
    for run in runs:
        run.train()
    assert abs(history(runs[0])[0]["rewards/chosen"]) > 1e-2
    assert_same(*runs)


LORA = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "up_proj"], init_lora_weights=False)
ON_THE_HEAD = LoraConfig(r=4, target_modules=["q_proj", "lm_head"], init_lora_weights=False)


@pytest.mark.parametrize("lora", [LORA, ON_THE_HEAD])
@pytest.mark.parametrize("kind", ["cached", "in_step"])
def test_the_reference_of_an_adapter_is_the_model_without_it(build, kind, lora):
    """The adapter is not nothing at the start, so that it would be noticed in the reference."""
    torch.manual_seed(1)
    shared = build(peft_config=copy.deepcopy(lora), reference=kind, check_first_loss=False)
    assert shared.reference.model is None
    base = {
        name: weight.clone() for name, weight in shared.model.get_base_model().named_parameters() if "lora" not in name
    }
    shared.train()
    torch.manual_seed(1)
    plain = build(peft_config=copy.deepcopy(lora), reference="in_step", step="plain", check_first_loss=False)
    plain.train()
    assert abs(history(shared)[0]["rewards/chosen"]) > 1e-3
    assert_same(shared, plain)
    after = dict(shared.model.get_base_model().named_parameters())
    assert all(torch.equal(after[name], weight) for name, weight in base.items())


def test_a_fingerprint_is_of_the_base_and_its_weights(build, model):
    assert fingerprint(model) == fingerprint(copy.deepcopy(model))
    assert fingerprint(build(peft_config=copy.deepcopy(LORA)).model) == fingerprint(model)
    before = fingerprint(model)
    with torch.no_grad():
        model.lm_head.weight.mul_(1.0001)
    assert fingerprint(model) != before
