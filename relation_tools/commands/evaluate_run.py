"""``python -m relation_tools evaluate run``: by ComfyUI servers, or by the engine without ComfyUI."""

from __future__ import annotations

import argparse
import asyncio
import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

from relation_core.samples.samples import Sample, read_samples
from relation_core.settings.bounds import COUNT, SECONDS
from relation_core.weights.lock import alone_in

from ..diffusers_host.settings import EditSettings
from ..evaluation.errors import EvaluationError
from ..evaluation.journal import Journal
from ..evaluation.run_folder import RunFolder
from ..evaluation.runner import Runner, RunOptions, RunSummary
from ..evaluation.server import Server
from ..evaluation.template import SHIPPED, load_template
from ..evaluation.transport import open_session
from .bar import progress_bar
from .extras import HEADLESS, require
from .model_options import add_fit, add_models
from .number_option import NumberOption
from .ray_options import add_ray, check_ray
from .sampling_options import add_sampling, fill_in
from .scorers import EXTRA

_NEEDED = ("model", "adapter", "vision")
_BOTH = ("seed",)
"""Options that servers take too."""
_LOG = logging.getLogger(__name__)


def add_run(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
    _add_servers(command.add_argument_group("by ComfyUI servers"))
    command.add_argument("--limit", type=NumberOption(COUNT), help="only the first N samples")
    headless = command.add_argument_group("without ComfyUI; with --server, only --seed is used")
    headless.add_argument("--headless", action="store_true", help="edit as `relation-adapter edit` does, with:")
    _add_headless(headless)
    command.set_defaults(run=_run)


def _add_servers(group: Any) -> None:
    defaults = RunOptions()
    group.add_argument("--server", action="append", help="address, such as 127.0.0.1:8188; repeatable")
    group.add_argument(
        "--workflow", type=Path, default=SHIPPED, help="a template in API form; see docs/evaluation.md (the pack's own)"
    )
    group.add_argument(
        "--attempts", type=NumberOption(COUNT), default=defaults.attempts, help="tries per sample (%(default)s)"
    )
    group.add_argument(
        "--give-up",
        type=NumberOption(SECONDS),
        default=defaults.give_up,
        help="seconds to wait for a lost server (%(default)s)",
    )


def _add_headless(group: Any) -> None:
    add_models(group, required=False)
    add_fit(group)
    group.add_argument("--no-texts", action="store_true", help="leave out what the samples say, as for a small model")
    add_sampling(group)
    add_ray(group)


def _run(options: argparse.Namespace) -> int:
    if options.headless == bool(options.server):
        given = "both --server and --headless" if options.headless else "neither --server nor --headless"
        raise EvaluationError(f"Got {given}; expected one of them. Give the address of a ComfyUI, or --headless.")
    if options.headless:
        check_ray(options)
        require("headless", *HEADLESS)
    else:
        require(EXTRA, "aiohttp")
    samples = list(read_samples(options.file))[: options.limit]
    found = _without_servers(options, samples) if options.headless else _by_servers(options, samples)
    _LOG.info("%d of %d samples have a result.", found.done, len(samples))
    for index, message in list(found.failed.items())[:10]:
        _LOG.info("Sample %d failed: %s", index, message)
    if found.failed:
        _LOG.info("%d samples failed; run again to try them again.", len(found.failed))
    return 1 if found.failed else 0


def _by_servers(options: argparse.Namespace, samples: list[Sample]) -> RunSummary:
    _check_unused(options)
    run = RunFolder(options.folder)
    template = load_template(options.workflow)
    settings = RunOptions(seed=options.seed, attempts=options.attempts, give_up=options.give_up)
    with alone_in(run.folder, "evaluating in"):
        run.open(options.file, options.workflow, options.seed)
        with Journal(run.journal) as journal, progress_bar("samples", EXTRA) as progress:
            runner = Runner(template, run, journal, settings, progress)
            return asyncio.run(_run_on_servers(runner, samples, options.file.parent, options.server))


async def _run_on_servers(runner: Runner, samples: list[Sample], folder: Path, addresses: list[str]) -> RunSummary:
    async with open_session() as session:
        servers = [Server(address, session) for address in dict.fromkeys(addresses)]
        return await runner.run(samples, folder, servers)


def _check_unused(options: argparse.Namespace) -> None:
    """Refuse options that a workflow's own settings would silently beat.

    Raises:
        EvaluationError: there is one.
    """
    alone = argparse.ArgumentParser(add_help=False)
    _add_headless(alone)
    usual = vars(alone.parse_args([]))
    given = [name for name, value in usual.items() if name not in _BOTH and getattr(options, name) != value]
    if given:
        raise EvaluationError(
            f"--{given[0].replace('_', '-')} is given with --server, where the workflow has its own settings; expected "
            "it with --headless. Leave it out, and change the workflow."
        )


def _without_servers(options: argparse.Namespace, samples: list[Sample]) -> RunSummary:
    fill_in(options)
    missing = [f"--{name}" for name in _NEEDED if getattr(options, name) is None]
    if missing or options.workflow != SHIPPED:
        found = f"lacks {', '.join(missing)}" if missing else "runs no workflow, and --workflow is given"
        raise EvaluationError(f"--headless {found}. Expected the files of models, as for `relation-adapter edit`.")
    from ..diffusers_host.evaluate_samples import SampleOrder, edit_samples  # noqa: PLC0415 - loads all of them

    settings = EditSettings(**{one.name: getattr(options, one.name) for one in fields(EditSettings)})
    run = RunFolder(options.folder)
    order = SampleOrder(options, settings, options.file.parent, run)
    with alone_in(run.folder, "evaluating in"):
        run.open_for(options.file, {"edit": order.identity()})
        with Journal(run.journal) as journal, progress_bar("samples", EXTRA) as progress:
            return edit_samples(order, samples, journal, progress)
