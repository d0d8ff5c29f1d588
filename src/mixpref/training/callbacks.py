"""What the trainer shows and keeps of its progress."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mixpref.progress import progress
from mixpref.store import write_text


class ProgressBar(TrainerCallback):
    """A bar of optimizer steps on a terminal, in place of the Trainer's own."""

    def __init__(self) -> None:
        self._bar: AbstractContextManager[Any] | None = None
        self._advance: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            self.close()
            self._bar = progress("train", state.max_steps, done=state.global_step)
            self._advance = self._bar.__enter__()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._bar is not None:
            self._advance()

    def close(self) -> None:
        """Take the bar down; the Trainer has no callback for a training that ends in an error."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


class LogFile(TrainerCallback):
    """Appends every log to a file of JSON lines, each with its `step`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Drop what an interrupted training logged after its last checkpoint: these steps are done again."""
        if not state.is_world_process_zero:
            return
        kept = []
        if state.global_step and self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    step = json.loads(line)["step"]
                except ValueError:
                    # The last line of a killed process may be torn.
                    continue
                if step <= state.global_step:
                    kept.append(line + "\n")
        write_text(self.path, "".join(kept))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")
