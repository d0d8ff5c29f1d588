"""Lets a CUDA build of torchvision, the only one on PyPI, be imported beside a torch for CPUs.

`vllm_setup.sh` installs it into `.venv-vllm`, whose interpreter runs it at its start. Two operators, declared in
advance, are all that the import misses. Nothing here calls them.
"""

from __future__ import annotations

import sys
from typing import Any

_ARGUMENTS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class _Declaring:
    """Finds nothing: it acts when torchvision is looked for, so that other programs start without torch."""

    library: Any = None

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "torchvision" and self.library is None:
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                self.library.define(operator + _ARGUMENTS)


sys.meta_path.insert(0, _Declaring())  # type: ignore[arg-type]
