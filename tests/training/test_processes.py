"""Two processes (gloo) against one, on the same pairs: uneven steps and groups, rows without pictures, and a step with
fewer pairs than processes."""

import copy
import json
import os
import subprocess
import sys

import pytest

from mixpref.training.trainer import MPOConfig, MPOTrainer

from .conftest import make_row, related_rows

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
import torch
from mixpref.training.trainer import MPOConfig, MPOTrainer
from tests.training.conftest import make_row, related_rows, tiny_model, tiny_processor

torch.set_num_threads(1)
settings = json.loads(sys.argv[1])
processor = tiny_processor()
rows, held_out = related_rows(), [make_row(n) for n in range(20, 25)]
trainer = MPOTrainer(
    tiny_model(processor).double(),
    MPOConfig(**settings),
    train_dataset=rows,
    eval_dataset=held_out,
    processing_class=processor,
)
trainer.train()
found = trainer.evaluate()
if trainer.is_world_process_zero():
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    state = {"delta": trainer.delta.state_dict(), "world": trainer.args.world_size}
    print(json.dumps({"logs": logs, "eval": found, **state}))
# Without it, gloo's threads are now and then still there when the process ends, which aborts.
torch.distributed.destroy_process_group()
"""


WAYS = {
    "one by one": {"per_device_train_batch_size": 1},
    "together": {"per_device_train_batch_size": 4},
    "by tokens": {"max_tokens_per_row": 100, "reference": "in_step"},
    "checkpointing": {"per_device_train_batch_size": 4, "activation_checkpointing": True},
    "plain": {"per_device_train_batch_size": 2, "step": "plain"},
}


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_equal_one(model, processor, tmp_path, way):
    settings = {
        "output_dir": str(tmp_path),
        "batch_size": 5,
        "optim": "sgd",
        "per_device_eval_batch_size": 2,
        "learning_rate": 1e-2,
        "num_train_epochs": 2,
        "warmup_steps": 0,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    one = MPOTrainer(
        copy.deepcopy(model).double(),
        MPOConfig(**settings),
        train_dataset=related_rows(),
        eval_dataset=[make_row(n) for n in range(20, 25)],
        processing_class=processor,
    )
    one.train()
    expected = one.evaluate()

    settings |= {**WAYS[way], "ddp_backend": "gloo"}
    (tmp_path / "script.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29613"]
    done = subprocess.run(
        [*launch, str(tmp_path / "script.py"), json.dumps(settings)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout.splitlines()[-1])
    assert two["world"] == 2
    assert two["delta"] == pytest.approx(one.delta.state_dict(), rel=1e-6)
    logs = [entry for entry in one.state.log_history if "loss" in entry]
    # 5, 5 and 1 pairs a step, twice.
    assert len(two["logs"]) == len(logs) == 6
    for left, right in zip(two["logs"], logs, strict=True):
        left.pop("epoch"), right.pop("epoch")
        assert left == pytest.approx(right, rel=1e-6, abs=1e-6)
    for name, value in two["eval"].items():
        if "_second" not in name and "runtime" not in name and "time" not in name:
            assert value == pytest.approx(expected[name], rel=1e-6, abs=1e-6), name
