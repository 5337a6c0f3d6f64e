"""The command line: ``python -m relation_tools GROUP COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys

from relation_core.errors import RelationAdapterError, printable

from .process import BROKEN_PIPE, drop_output, ending_cleanly, prepare_streams

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


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status: 0 done, 1 the work failed, 2 the call was wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    prepare_streams()
    logging.basicConfig(format="%(message)s")
    for package in ("relation_core", "relation_tools"):
        logging.getLogger(package).setLevel(logging.INFO)  # and of libraries only warnings
    parser = argparse.ArgumentParser(prog="relation-adapter", description="RelationAdapter on the command line.")
    groups = parser.add_subparsers(dest="group", required=True, metavar="GROUP")
    chosen = arguments[0] if arguments else ""
    for name, summary in GROUPS.items():
        group = groups.add_parser(name, help=summary, description=summary, add_help=name == chosen)
        if name == chosen:
            importlib.import_module(f".commands.{name}", __package__).add_commands(group)
    options = parser.parse_args(arguments)
    log = logging.getLogger(__name__)
    try:
        with ending_cleanly():
            status = int(options.run(options) or 0)
            sys.stdout.flush()
            return status
    except RelationAdapterError as error:
        log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        drop_output()
        return BROKEN_PIPE
    except OSError as error:
        drop_output()
        place = f" '{printable(str(error.filename))}'" if error.filename else ""
        log.error("Cannot read or write%s: %s. Make room, or check the path.", place, error.strerror or error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
