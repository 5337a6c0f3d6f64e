"""``python -m relation_tools weights``: download, convert and identify weights files."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from relation_core.adapter.keys import ADAPTER_FILE

from .bar import byte_bar, progress_bar
from .extras import PICTURES, find, require
from .shown import print_lines

EXTRA = "weights"
NEEDS = (*PICTURES, "torch", "einops", "safetensors")
_LOG = logging.getLogger(__name__)


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the commands."""
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_download(commands.add_parser("download", help="download the released adapter from huggingface.co"))
    _add_convert(commands.add_parser("convert", help="rewrite an adapter as one .safetensors file"))
    _add_inspect(commands.add_parser("inspect", help="identify a weights file and check whether it fits FLUX.1-dev"))


def _add_download(command: argparse.ArgumentParser) -> None:
    command.description = (
        f"Download {ADAPTER_FILE} (5.3 GB), unless it is there. A download that was cut off or interrupted is "
        "continued. "
        "HF_ENDPOINT names another server; HF_HUB_OFFLINE forbids all."
    )
    command.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="where to put it (here)")
    command.set_defaults(run=_download)


def _add_convert(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Rewrite an adapter (.bin or .safetensors) as one .safetensors file: the same values in the same dtype, "
        "streamed, compared bit for bit, and there only when it is whole."
    )
    command.add_argument("source", type=Path, metavar="IN", help="the adapter, such as ip_adapter-100000.bin")
    command.add_argument("target", type=Path, metavar="OUT", help="the .safetensors file to write")
    command.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    command.set_defaults(run=_convert)


def _add_inspect(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Identify a weights file: kind, sizes, dtype and fingerprint. The exit status is 1 if it does not fit "
        "FLUX.1-dev."
    )
    command.add_argument(
        "file", type=Path, metavar="FILE", help="an adapter, a SigLIP vision model or a saved relation"
    )
    command.set_defaults(run=_inspect)


def _download(options: argparse.Namespace) -> None:
    find(EXTRA, *NEEDS)
    require(EXTRA, "huggingface_hub", "requests")
    from relation_core.adapter.download import fetch_adapter, open_downloaded  # noqa: PLC0415 - help needs neither

    with byte_bar(ADAPTER_FILE, EXTRA) as progress:
        path = fetch_adapter(options.to, progress)
    require(EXTRA, *NEEDS)
    adapter = open_downloaded(path)
    _LOG.info("%s is a RelationAdapter, fingerprint %s.", adapter.path, adapter.fingerprint)


def _convert(options: argparse.Namespace) -> None:
    require(EXTRA, *NEEDS)
    from relation_core.adapter.adapter import open_adapter  # noqa: PLC0415 - help needs no PyTorch

    from ..weights.conversion import convert_adapter  # noqa: PLC0415

    adapter = open_adapter(options.source)
    with progress_bar("write and compare", EXTRA) as progress:
        converted = convert_adapter(adapter, options.target, options.overwrite, progress)
    _LOG.info("Wrote %s: the same weights, fingerprint %s.", converted.path, converted.fingerprint)


def _inspect(options: argparse.Namespace) -> None:
    require(EXTRA, *NEEDS)
    from ..weights.inspection import inspect_file  # noqa: PLC0415 - help needs no PyTorch

    print_lines(inspect_file(options.file))
