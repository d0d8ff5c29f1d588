import json

from transformers import TrainerControl, TrainerState, TrainingArguments

from mixpref.training.callbacks import LogFile


def test_a_resumed_log_goes_on_from_the_checkpoint(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text(
        "".join(json.dumps({"step": step, "loss": step}) + "\n" for step in (1, 2, 3, 4)) + '{"step": 5, "lo'
    )
    log, args, control = LogFile(file), TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerControl()
    state = TrainerState(global_step=2, is_world_process_zero=True)
    log.on_train_begin(args, state, control)
    state.global_step = 3
    log.on_log(args, state, control, logs={"loss": 30})
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert entries == [{"step": 1, "loss": 1}, {"step": 2, "loss": 2}, {"step": 3, "loss": 30}]


def test_a_new_training_has_a_new_log(tmp_path):
    file = tmp_path / "new" / "log.jsonl"
    log, args, control = LogFile(file), TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerControl()
    state = TrainerState(global_step=0, is_world_process_zero=True)
    for _ in range(2):
        log.on_train_begin(args, state, control)
        log.on_log(args, state, control, logs={"loss": 1})
    assert file.read_text() == '{"step": 0, "loss": 1}\n'


def test_other_processes_write_nothing(tmp_path):
    file = tmp_path / "log.jsonl"
    log, args, control = LogFile(file), TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerControl()
    state = TrainerState(is_world_process_zero=False)
    log.on_train_begin(args, state, control)
    log.on_log(args, state, control, logs={"loss": 1})
    assert not file.exists()
