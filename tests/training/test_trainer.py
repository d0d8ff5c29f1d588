import copy
import itertools
import math

import pytest
import torch
from transformers import TrainerCallback

from mixpref.errors import MixprefError
from mixpref.training.data import PairDataset
from mixpref.training.metrics import MEANS
from mixpref.training.objective import mpo_loss
from mixpref.training.plain import PlainCollator, response_logps
from mixpref.training.trainer import MPOConfig, MPOTrainer

from .conftest import make_row


@pytest.fixture
def build(model, processor, rows, tmp_path):
    """A trainer in float64, so that equal means equal: 11 pairs, 8 and 3 a step, two epochs."""

    initial = model.double()

    def build(rows=rows, model=initial, **settings):
        names = ("eval_dataset", "ref_model", "callbacks")
        more = {name: settings.pop(name) for name in names if name in settings}
        defaults = {
            "output_dir": str(tmp_path / "out"),
            "batch_size": 8,
            "learning_rate": 1e-2,
            "num_train_epochs": 2,
            "warmup_steps": 0,
            "save_strategy": "no",
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
    """The training log; Trainer's epoch is left out, a fraction that counts micro-batches."""
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [{name: value for name, value in entry.items() if name != "epoch"} for entry in logs]


def assert_same_run(one, other, rel=1e-9):
    assert len(history(one)) == len(history(other))
    for left, right in zip(history(one), history(other), strict=True):
        assert left.keys() == right.keys()
        if abs(left["rewards/margins"]) < 1e-9:
            # Before the first step all rewards are 0, and rounding decides which is larger.
            left["rewards/accuracies"] = right["rewards/accuracies"]
        assert left == pytest.approx(right, rel=rel, abs=rel)
    for (name, left), right in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=rel, atol=rel, msg=name)


CUTS = [(step, {"per_device_train_batch_size": micro}) for step in ("shared", "plain") for micro in (1, 3, 4)]


@pytest.mark.parametrize(("step", "cut"), [*CUTS, ("shared", {"max_tokens_per_row": 100})])
@pytest.mark.parametrize("lags", [False, True])
@pytest.mark.parametrize("reference", ["cached", "in_step"])
def test_a_step_does_not_depend_on_its_micro_batches(build, related, step, cut, lags, reference):
    """8 = 8 x 1 = 2 x 4 = 3 + 3 + 2, or as the tokens come, delta included; the epoch's last step has 3 pairs."""
    # AdamW makes a step of the learning rate from a gradient of nothing but rounding, and rounding depends on the row.
    settings = {"delta_lags": lags, "step": step, "reference": reference, "optim": "sgd"}
    whole = build(rows=related, per_device_train_batch_size=8, **settings)
    whole.train()
    cut = build(rows=related, **cut, **settings)
    cut.train()
    assert len(history(whole)) == 4
    assert whole.delta.count == cut.delta.count == 2 * 22
    assert history(whole)[-1]["delta"] != 0
    # Llama's norms round to float32.
    assert_same_run(whole, cut, rel=1e-6 if step == "shared" else 1e-8)


def test_accumulation_may_be_set_as_for_any_trainer(build):
    one = build(per_device_train_batch_size=8)
    one.train()
    other = build(batch_size=None, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    other.train()
    assert_same_run(one, other)


def by_hand(model, processor, rows, beta=0.1, rate=1e-2, lags=False):
    """Two epochs in plain torch over the same steps: SGD on the mean over each step's pairs."""
    model, reference = model.eval(), copy.deepcopy(model).eval()
    pairs, collate = PairDataset(rows, processor), PlainCollator(processor)
    total, count, logs = 0.0, 0, []
    for step in itertools.chain.from_iterable([range(8), range(8, 11)] for _ in range(2)):
        batch = collate([pairs[index] for index in step])
        policy, lengths = response_logps(model, batch)
        with torch.no_grad():
            old, _ = response_logps(reference, batch)
        before = total / max(count, 1)
        total += beta * (policy - old).sum().item()
        count += len(policy)
        delta = before if lags else total / count
        half = len(policy) // 2
        loss, _ = mpo_loss(policy[:half], policy[half:], old[:half], old[half:], lengths[:half], delta=delta, beta=beta)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.grad is not None:
                    weight -= rate * weight.grad
        logs.append({"loss": loss.item(), "delta": total / count})
    return logs


@pytest.mark.parametrize("lags", [False, True])
@pytest.mark.parametrize("micro", [8, 3])
@pytest.mark.parametrize("step", ["shared", "plain"])
def test_training_equals_the_loop_written_out(build, model, processor, rows, monkeypatch, lags, micro, step):
    monkeypatch.setattr("mixpref.training.batches.StepBatches._plan", lambda self: [list(range(8)), [8, 9, 10]])
    expected = by_hand(copy.deepcopy(model).double(), processor, rows, lags=lags)
    settings = {"optim": "sgd", "weight_decay": 0, "max_grad_norm": 0, "lr_scheduler_type": "constant"}
    trainer = build(per_device_train_batch_size=micro, delta_lags=lags, step=step, **settings)
    trainer.train()
    found = [{name: entry[name] for name in ("loss", "delta")} for entry in history(trainer)]
    for left, right in zip(found, expected, strict=True):
        assert left == pytest.approx(right, rel=1e-6 if step == "shared" else 1e-8)
    # Lagging or not is another trajectory: the test would notice the wrong one.
    other = by_hand(copy.deepcopy(model).double(), processor, rows, lags=not lags)
    assert [entry["loss"] for entry in other] != pytest.approx([entry["loss"] for entry in found], rel=1e-6)


def test_metrics_are_means_over_the_pairs_since_the_last_log(build):
    each = build(per_device_train_batch_size=3)
    each.train()
    rare = build(per_device_train_batch_size=3, logging_steps=2)
    rare.train()
    sizes = [8, 3, 8, 3]
    for place, entry in enumerate(history(rare)):
        two, weights = history(each)[2 * place : 2 * place + 2], sizes[2 * place : 2 * place + 2]
        for name in MEANS:
            mean = sum(log[name] * weight for log, weight in zip(two, weights, strict=True)) / sum(weights)
            assert entry[name] == pytest.approx(mean)
        assert entry["tokens"] == two[1]["tokens"]
        assert entry["delta"] == pytest.approx(two[1]["delta"])
    for entry in history(each):
        parts = 0.8 * entry["loss/dpo"] + 0.2 * entry["loss/bco"] + entry["loss/sft"]
        assert entry["loss"] == pytest.approx(parts)
        assert entry["rewards/margins"] == pytest.approx(entry["rewards/chosen"] - entry["rewards/rejected"])
        assert {"grad_norm", "learning_rate", "logps/chosen", "logps/rejected"} <= entry.keys()
    assert history(each)[-1]["rewards/accuracies"] == 1.0
    assert history(each)[1]["tokens"] * 2 == history(each)[3]["tokens"]


def test_evaluation_is_exact_and_leaves_delta_alone(build, processor):
    held_out = [make_row(number) for number in range(20, 27)]
    trainer = build(per_device_eval_batch_size=4, eval_dataset=held_out, reference="in_step")
    trainer.train()
    before = trainer.delta.state_dict()
    found = trainer.evaluate()
    assert trainer.delta.state_dict() == before
    assert before["count"] == 44

    pairs = PairDataset(held_out, processor)
    batch = PlainCollator(processor)([pairs[index] for index in range(7)])
    with torch.no_grad():
        policy, lengths = response_logps(trainer.model.eval(), batch)
        reference, _ = response_logps(trainer.reference.model, batch)
    sides = (*policy.chunk(2), *reference.chunk(2))
    loss, parts = mpo_loss(*sides, lengths.chunk(2)[0], delta=trainer.delta.value)
    # 4 and 3 pairs a batch: the mean of the batches' means would be another.
    assert found["eval_loss"] == pytest.approx(loss.item())
    assert found["eval_loss/bco"] == pytest.approx(parts.bco.mean().item())
    assert found["eval_rewards/chosen"] == pytest.approx(parts.chosen_rewards.mean().item())


def test_evaluation_during_training_changes_nothing(build):
    plain = build(per_device_train_batch_size=4)
    plain.train()
    watched = build(per_device_train_batch_size=4, eval_strategy="steps", eval_steps=1, eval_dataset=[make_row(30)])
    watched.train()
    assert sum("eval_loss" in entry for entry in watched.state.log_history) == 4
    assert_same_run(plain, watched)


def test_the_first_loss_is_announced(build, capsys):
    trainer = build(sft_weight=0.5)
    trainer.train()
    first = history(trainer)[0]
    assert first["loss"] == pytest.approx(0.8 * math.log(2) + 0.4 * math.log(2) + 0.5 * first["loss/sft"])
    expected = f"first loss: expected 0.83178 + 0.5 NLL = {first['loss']:.5f}, found {first['loss']:.5f}"
    assert expected in capsys.readouterr().err


def altered(model, factor):
    other = copy.deepcopy(model).double()
    with torch.no_grad():
        other.get_input_embeddings().weight.mul_(factor)
    return other


def weights(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def test_a_first_loss_that_is_off_stops_before_the_step(build, model):
    trainer = build(ref_model=altered(model, 1.5))
    before = weights(trainer.model)
    with pytest.raises(MixprefError, match="the policy is not the reference"):
        trainer.train()
    assert all(torch.equal(before[name], weight) for name, weight in weights(trainer.model).items())
    unchecked = build(ref_model=altered(model, 1.5), check_first_loss=False)
    unchecked.train()
    assert unchecked.state.global_step == 4


def test_dropout_left_on_is_noticed(build, model):
    model.model.language_model.config.attention_dropout = 0.0
    noisy = copy.deepcopy(model).double()
    for layer in noisy.model.language_model.layers:
        layer.self_attn.attention_dropout = 0.7
    with pytest.raises(MixprefError, match="dropout"):
        build(model=noisy, disable_dropout=False).train()
    build(model=noisy).train()


class Spoil(TrainerCallback):
    """Makes the model's third step impossible."""

    def __init__(self):
        self.before = None

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step == 2:
            with torch.no_grad():
                model.lm_head.weight[5] = math.nan
            self.before = weights(model)


@pytest.mark.parametrize("micro", [8, 3])
def test_a_loss_that_is_not_finite_stops_before_the_step(build, micro):
    spoil = Spoil()
    trainer = build(per_device_train_batch_size=micro, callbacks=[spoil])
    with pytest.raises(MixprefError, match="loss of step 3 is nan"):
        trainer.train()
    assert trainer.state.global_step == 2
    for name, weight in weights(trainer.model).items():
        torch.testing.assert_close(weight, spoil.before[name], rtol=0, atol=0, equal_nan=True)


def test_the_reference_stays_as_it_was(build):
    trainer = build(reference="in_step")
    before = weights(trainer.reference.model)
    trainer.train()
    assert all(torch.equal(before[name], weight) for name, weight in weights(trainer.reference.model).items())
    assert not any(weight.requires_grad for weight in trainer.reference.model.parameters())
    name = "model.language_model.embed_tokens.weight"
    assert not torch.equal(before[name], weights(trainer.model)[name])


def test_the_plain_step_is_one_policy_pass_without_accumulation(build):
    """Two passes of the policy with accumulation, of which one is without gradients; always one of the reference."""
    for micro, lags, passes in ((8, False, 1), (4, False, 2), (4, True, 1)):
        trainer = build(
            per_device_train_batch_size=micro, delta_lags=lags, max_steps=1, step="plain", reference="in_step"
        )
        sequences = {"policy": 0, "reference": 0}
        for name, module in (("policy", trainer.model), ("reference", trainer.reference.model)):

            def count(module, args, kwargs, name=name, sequences=sequences):
                sequences[name] += len(kwargs["input_ids"])

            module.register_forward_pre_hook(count, with_kwargs=True)
        trainer.train()
        assert sequences == {"policy": 16 * passes, "reference": 16}


def test_rows_that_cannot_be_trained_on_are_told(build, capsys):
    trainer = build(rows=[make_row(1), make_row(2, chosen=None), make_row(3)])
    assert [each.row for each in trainer.train_dataset.refused] == [1]
    assert "left out 1 of 3 pairs: no chosen (1)" in capsys.readouterr().err
    with pytest.raises(MixprefError, match="none of the 1 preference pairs"):
        build(rows=[make_row(2, chosen=None)])


def test_settings_are_checked(tmp_path):
    for wrong in (
        {"dpo_weight": -1},
        {"dpo_weight": 0, "bco_weight": 0, "sft_weight": 0},
        {"beta": 0},
        {"step": "fast"},
        {"max_pairs_per_group": 0},
        {"step": "plain", "max_tokens_per_row": 100},
        {"freeze": ["eyes"]},
    ):
        with pytest.raises(MixprefError):
            MPOConfig(output_dir=str(tmp_path), **wrong)
    config = MPOConfig(output_dir=str(tmp_path), batch_size=10, per_device_train_batch_size=4, use_cpu=True)
    assert (config.gradient_accumulation_steps, config.step_pairs) == (1, 10)
    accumulated = MPOConfig(
        output_dir=str(tmp_path), gradient_accumulation_steps=3, per_device_train_batch_size=4, use_cpu=True
    )
    assert (accumulated.gradient_accumulation_steps, accumulated.step_pairs) == (1, 12)


def test_the_saved_model_keeps_its_cache(build, tmp_path):
    trainer = build()
    trainer.train()
    assert trainer.model.config.use_cache


@pytest.mark.parametrize(
    "settings", [{"activation_checkpointing": True}, {"bf16": True}, {"freeze": ["vision", "projector"]}]
)
@pytest.mark.parametrize("reference", ["cached", "in_step"])
def test_the_shared_step_equals_the_plain_one(build, model, related, settings, reference):
    """Rows with and without pictures, several pairs a prompt; a frozen tower's features serve policy and reference."""
    initial = model.float() if "bf16" in settings else model.double()
    settings = {
        "rows": related,
        "model": initial,
        "optim": "sgd",
        "max_grad_norm": 0,
        "reference": reference,
        **settings,
    }
    shared = build(per_device_train_batch_size=8, **settings)
    before = weights(shared.model)
    shared.train()
    plain = build(per_device_train_batch_size=8, step="plain", **settings)
    plain.train()
    assert_same_run(shared, plain, rel=0.1 if "bf16" in settings else 1e-6)
    frozen = {name for name, weight in weights(shared.model).items() if torch.equal(weight, before[name])}
    expected = (
        {name for name in before if "vision_tower" in name or "projector" in name} if "freeze" in settings else set()
    )
    # Part of the tower never gets a gradient.
    assert expected <= frozen
    assert not any("language_model" in name for name in frozen)


def test_features_of_a_frozen_tower_are_computed_once_a_step(build, related):
    trainer = build(
        rows=related, freeze=["vision", "projector"], reference="in_step", per_device_train_batch_size=8, max_steps=1
    )
    seen = []
    for side in (trainer.model, trainer.reference.model):
        side.model.vision_tower.register_forward_pre_hook(lambda *_: seen.append(1))
    trainer.train()
    assert len(seen) == 1


def test_a_model_that_cannot_share_is_refused_by_name(build, model):
    model.config.text_config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(
        MixprefError, match=r"LlavaForConditionalGeneration cannot .* linear_attention; set step='plain'"
    ):
        build(model=model)
    build(model=model, step="plain")
