"""A run that is told to end, by SIGTERM: schedulers send it before they take the machine away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import distributed

from .processes import PATIENCE


class StopRequest:
    """Whether a process of the run was told to end. All of them ask after every step, and get the same answer."""

    def __init__(self) -> None:
        self._told = False
        # On processors, so that asking does not wait for GPUs.
        alone = not distributed.is_initialized()
        self._group: Any = None if alone else distributed.new_group(backend="gloo", timeout=PATIENCE)

    @contextmanager
    def listening(self) -> Generator[None]:
        """Take note of SIGTERM in the block, in place of what it does else."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._tell)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        self._told = True

    def came(self) -> bool:
        """Whether any process was told by now."""
        if self._group is None:
            return self._told
        told = torch.tensor(int(self._told))
        distributed.all_reduce(told, distributed.ReduceOp.MAX, group=self._group)
        return bool(told)
