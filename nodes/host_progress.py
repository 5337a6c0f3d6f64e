"""The core's progress, shown by ComfyUI's progress bar and stopped by its interrupt button."""

from __future__ import annotations

import comfy.model_management
import comfy.utils


class HostProgress:
    """Shows progress on the running node, and stops it when the user interrupts."""

    def __init__(self) -> None:
        self._bar = comfy.utils.ProgressBar(0)

    def start(self, total: int) -> None:
        """Restart the bar."""
        self._bar = comfy.utils.ProgressBar(total)

    def step(self) -> None:
        """Move the bar; raise the host's own exception if the run was interrupted."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._bar.update(1)


class HostByteProgress:
    """Shows a download on the running node, and stops it when the user interrupts."""

    def __init__(self) -> None:
        self._bar = comfy.utils.ProgressBar(1)

    def __call__(self, done: int, total: int) -> None:
        """Move the bar; raise the host's own exception if the run was interrupted."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(done, total)
