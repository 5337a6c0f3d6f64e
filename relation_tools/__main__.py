"""The command line: ``python -m relation_tools GROUP COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Container
from typing import Any

from relation_core.errors import RelationAdapterError

from .commands.extras import PICTURES, require
from .commands.shown import show_log
from .ending import ending_cleanly, forget_interrupts
from .streams import BROKEN_PIPE, drop_output, prepare_streams

GROUPS: dict[str, str] = {
    "dataset": "build, validate, count and look at training datasets",
    "edit": "apply the edit of exemplar pairs or of a relation to pictures, without ComfyUI",
    "encode": "save what exemplar pairs show as a relation file",
    "evaluate": "run a test file through ComfyUI servers, score the results, report",
    "measure": "measure how often a model makes the edit that its exemplars show",
    "pretrain": "train the frozen parts of a small model: autoencoder and vision model",
    "train": "train an adapter and a LoRA on a frozen Flux, or a whole small Flux",
    "tune": "learn a relation from a few pairs of pictures before and after an edit",
    "weights": "download, convert and identify weights files",
}
"""Help text of every command group. Group ``x`` is the module ``relation_tools.commands.x``, imported on use."""
IMPORTED: dict[str, tuple[str, ...]] = {
    "dataset": ("dataset", *PICTURES),
    "evaluate": ("evaluation", *PICTURES),
}
"""Optional libraries that a group's module imports by itself, after the name of the extra that has them."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status: 0 done, 1 the work failed, 2 the call was wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    prepare_streams()
    show_log()
    log = logging.getLogger(__name__)
    try:
        with ending_cleanly():
            return _run(arguments)
    except RelationAdapterError as error:
        log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        forget_interrupts()
        return 130
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        drop_output()
        return BROKEN_PIPE
    except OSError as error:
        drop_output()
        place = f" '{error.filename}'" if error.filename else ""
        log.error("Cannot read or write%s: %s. Make room, or check the path.", place, error.strerror or error)
        return 1


class _Parser(argparse.ArgumentParser):
    def print_help(self, file: Any = None) -> None:
        """Print it, and fail where it cannot be written: argparse says nothing then."""
        (sys.stdout if file is None else file).write(self.format_help())

    def format_help(self) -> str:
        """Format it, with what a command adds to it."""
        more = self.get_default("more_help")
        return super().format_help() + (f"\n{more()}" if more else "")


def build_parser(chosen: Container[str]) -> argparse.ArgumentParser:
    """Describe the command line, with the commands of the chosen groups alone: of others nothing is imported.

    Raises:
        MissingLibraryError: a group's module needs a library that is not there.
    """
    parser = _Parser(prog="relation-adapter", description="RelationAdapter on the command line.")
    groups = parser.add_subparsers(dest="group", required=True, metavar="GROUP")
    for name, summary in GROUPS.items():
        group = groups.add_parser(name, help=summary, description=summary, add_help=name in chosen)
        if name in chosen:
            if name in IMPORTED:
                require(*IMPORTED[name])
            importlib.import_module(f".commands.{name}", __package__).add_commands(group)
    return parser


def _run(arguments: list[str]) -> int:
    try:
        options = build_parser(arguments[:1]).parse_args(arguments)
    except SystemExit:  # help was asked for, or the call was wrong
        sys.stdout.flush()
        raise
    status = int(options.run(options) or 0)
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
