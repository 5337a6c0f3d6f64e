"""The ``LoadRelationSample`` node."""

from __future__ import annotations

import time
from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io

from ..relation_core.errors import DatasetError, PictureError, printable
from ..relation_core.files.file_state import entry_state, file_state
from ..relation_core.pictures.picture_file import read_picture
from ..relation_core.pictures.tensors import from_pil
from ..relation_core.samples.samples import PROBLEMS, Sample, read_sample
from .checked_numbers import numbers_checked
from .sockets import CATEGORY

MAX_INDEX = 2**31 - 1
_READ: dict[tuple[Path, int], tuple[object, Sample]] = {}
"""What :meth:`fingerprint_inputs` has just read, for :meth:`execute`: one must read all samples before it."""


class LoadRelationSample(io.ComfyNode):
    """Load one sample of a run-ready dataset."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="LoadRelationSample",
            display_name="Load Relation Sample",
            category=CATEGORY,
            description="Loads one sample of a run-ready dataset: an exemplar pair, a source, its target and the "
            "instruction. Queue several prompts to step through the file.",
            search_aliases=["relation adapter", "dataset", "jsonl", "Relation252K", "batch", "evaluate"],
            inputs=[
                io.Combo.Input(
                    "dataset",
                    options=_datasets(),
                    tooltip="A .jsonl file in the input folder or a subfolder. Press R to refresh the list.",
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=MAX_INDEX,
                    control_after_generate=io.ControlAfterGenerate.increment,
                    tooltip="The sample's position in the file, counted from 0. An index past the last sample is an "
                    "error, which ends a queue that steps through the file.",
                ),
            ],
            outputs=[
                io.Image.Output("before", display_name="before", tooltip="A: the exemplar before the edit."),
                io.Image.Output("after", display_name="after", tooltip="A': the exemplar after the edit."),
                io.Image.Output("source", display_name="source", tooltip="B: the picture to edit."),
                io.Image.Output("target", display_name="target", tooltip="What the result should look like."),
                io.String.Output("instruction", display_name="instruction", tooltip="The edit in words."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, dataset: str | None, index: int | None) -> object:
        """Reload when the sample changed, or one of its pictures was replaced.

        It always reloads if another node provides an input, which is None until the run, and if something is wrong,
        which only :meth:`execute` can report.
        """
        if dataset is None or index is None:
            _READ.clear()
            return time.time_ns()
        try:
            file = _file(dataset)
            state = entry_state(file)
            sample = read_sample(file, index)
            _READ[file, index] = state, sample
            return [sample.text, *(file_state(file.parent / name) for name in sample.pictures)]
        except (OSError, ValueError):
            return time.time_ns()

    @classmethod
    @numbers_checked
    def execute(cls, dataset: str, index: int) -> io.NodeOutput:
        """Read the sample and its pictures."""
        file = _file(dataset)
        state, read = _READ.get((file, index), (None, None))
        _READ.clear()
        sample = read if read is not None and state == entry_state(file) else read_sample(file, index)
        return io.NodeOutput(*(_picture(file, name) for name in sample.pictures), sample.text)


def _picture(file: Path, name: str) -> torch.Tensor:
    try:
        return from_pil(read_picture(file.parent / name))
    except PictureError as error:
        raise DatasetError(
            f"Cannot read '{printable(name)}', which '{file.name}' names: {error.reason}. Put the pictures where the "
            "file says they are."
        ) from error


def _datasets() -> list[str]:
    folder = Path(folder_paths.get_input_directory())
    found = [*folder.glob("*.jsonl"), *folder.glob("*/*.jsonl")]
    return sorted(path.relative_to(folder).as_posix() for path in found if path.name != PROBLEMS)


def _file(dataset: str) -> Path:
    if dataset not in _datasets():  # a name from another node has not been checked
        raise DatasetError(
            f"There is no dataset '{dataset}' in {folder_paths.get_input_directory()}. Put the .jsonl file there, or "
            "in a folder in it, with its pictures at the paths that it lists, and press R to refresh."
        )
    return Path(folder_paths.get_input_directory()) / dataset
