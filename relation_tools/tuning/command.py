"""The work of ``python -m relation_tools tune``, with its libraries loaded."""

from __future__ import annotations

import argparse
import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from PIL import Image

from relation_core.errors import RelationMismatchError
from relation_core.pictures.picture_file import read_picture
from relation_core.progress import Progress
from relation_core.relation.learned import Learned
from relation_core.relation.pairs import Pair
from relation_core.tuning.flow import LatentPair, Predict, draw_edit
from relation_core.tuning.learner import Learner
from relation_core.tuning.pairs import (
    Start,
    check_held_out,
    check_keys_values,
    check_latents,
    check_pairs,
    check_start,
    in_relations,
    learned_relation,
    showing,
    start_relation,
)
from relation_core.tuning.settings import TuningError, TuningSettings
from relation_core.weights.lock import alone_at

from ..diffusers_host.identity import models_identity
from ..diffusers_host.opening import open_pipeline
from ..diffusers_host.pipeline import RelationPipeline
from ..diffusers_host.sampling import draw_noise
from .interrupt import asked_to_stop
from .output import Output
from .pair_files import find_pairs
from .records import draw_losses, draw_sheet
from .resuming import keep, remove_states, resume

ProgressBar = Callable[[str], AbstractContextManager[Progress]]
LossBar = Callable[[int, int], AbstractContextManager[Callable[[float], None]]]
SHEET_ROWS, SHEET_SEED = 8, 1000
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Learning:
    """What is kept of the pairs: their pictures may be large, and many."""

    start: Start
    latents: list[LatentPair]
    """Of those that are learned from, then of those that are held out."""
    learned_from: int
    """How many are learned from."""
    first: Pair
    shown: dict[int, Pair]
    """Those that the sheet shows, by their place among all."""


@dataclass(frozen=True)
class _Run:
    """Learning that is ready to start or resume."""

    output: Output
    pipeline: RelationPipeline
    learner: Learner
    identity: str
    """Fingerprint of everything that the result depends on."""


def tune_relation(options: argparse.Namespace, bar: ProgressBar, loss_bar: LossBar) -> None:
    """Learn a relation from the pairs that the options name, and write it with its curve and its sheet.

    Raises:
        RelationAdapterError: nothing can be done; no relation is written.
        OSError: nothing can be written there.
    """
    settings = TuningSettings(options.steps, options.learning_rate, options.batch_size, options.seed, options.guidance)
    with alone_at(options.out, "learning"):
        _tune(options, settings, bar, loss_bar)


def _tune(options: argparse.Namespace, settings: TuningSettings, bar: ProgressBar, loss_bar: LossBar) -> None:
    output = Output.at(options.out, options.overwrite)
    output.check_beside(options.overwrite)
    if options.overwrite:
        remove_states(output.states)
    pipeline, predict, learning = _prepare(options, bar)
    start, latents, split = learning.start, learning.latents, learning.learned_from
    learner = Learner(
        predict,
        pipeline.adapter.weights(),
        pipeline.adapter.config,
        start.tokens,
        start.token_bias(),
        latents[:split],
        latents[split:],
        settings,
        pipeline.device,
        pipeline.dtype,
    )
    run = _Run(output, pipeline, learner, _identity(options, settings, pipeline, learning))
    _learn(run, settings, loss_bar)
    _check(run)
    origin = Learned(split, learner.best_step, options.prompt, options.model.name)
    relation = learned_relation(pipeline.adapter, start, learner.tokens, origin, pipeline.device, pipeline.dtype)
    with output.writing_pictures():
        draw_losses(learner.losses, learner.checks, output.curve)
        _draw_results(run, predict, learning, options.sheet_steps)
    output.write(relation)  # last, so that every relation has its curve and sheet
    remove_states(output.states)
    _LOG.info("Wrote %s: %s.", output.relation, origin)


def _prepare(options: argparse.Namespace, bar: ProgressBar) -> tuple[RelationPipeline, Predict, _Learning]:
    """Read the pairs, load the models, and encode what learning needs of the pairs, which are not held."""
    files = find_pairs(options.before or [], options.after or [], options.dataset, options.task)
    pairs = [(read_picture(before), read_picture(after)) for before, after in files]
    check_pairs(pairs)
    learned_from = len(pairs) - _held_out(options.hold_out, len(pairs))
    check_held_out(pairs[:learned_from], pairs[learned_from:])
    pipeline = open_pipeline(options, sees_pairs=options.start is None, learns=True)
    predict = pipeline.predict(pipeline.prompt(options.prompt), options.guidance)
    start = _start(options, pipeline, pairs[:learned_from], bar)
    latents = [LatentPair(*(pipeline.latent(picture, options.long_side) for picture in pair)) for pair in pairs]
    check_latents(latents)
    shown = list(range(learned_from, len(pairs)) or range(learned_from))[:SHEET_ROWS]
    return (
        pipeline,
        predict,
        _Learning(start, latents, learned_from, pairs[0], {place: pairs[place] for place in shown}),
    )


def _held_out(count: int, pairs: int) -> int:
    if not 0 <= count < pairs:
        raise TuningError(
            f"Got {count} pairs to hold out of {pairs}; expected at least one pair to learn from. Hold out fewer."
        )
    return count


def _start(options: argparse.Namespace, pipeline: RelationPipeline, pairs: list[Pair], bar: ProgressBar) -> Start:
    if options.start is None:
        with bar("exemplars") as progress:
            parts = in_relations(pairs)
            start = start_relation(*(pipeline.exemplars(part, options.fit, progress) for part in parts))
            check_keys_values(pipeline.adapter, start, pipeline.device, progress)
            return start
    try:
        found = pipeline.load_relation(options.start)
    except RelationMismatchError as error:
        raise RelationMismatchError(f"--start: {error}") from error
    return showing(check_start(found, pipeline.adapter), pairs)


def _identity(
    options: argparse.Namespace, settings: TuningSettings, pipeline: RelationPipeline, learning: _Learning
) -> str:
    held_out = len(learning.latents) - learning.learned_from
    told = (settings, options.prompt, options.lora_strength, options.dtype, held_out)
    told = (*told, learning.start.pair_weights, pipeline.adapter.fingerprint)
    digest = hashlib.sha256(repr((told, models_identity(options, options.start is None))).encode())
    digest.update(learning.start.tokens.float().numpy().tobytes())
    for pair in learning.latents:
        digest.update(pair.source.numpy().tobytes() + pair.target.numpy().tobytes())
    return digest.hexdigest()


def _learn(run: _Run, settings: TuningSettings, loss_bar: LossBar) -> None:
    """Take all remaining steps; if asked to stop, keep the state that the same command resumes from."""
    learner = run.learner
    if resume(learner, run.output.states, run.identity):
        _LOG.info("Continuing after step %d.", learner.step)
    with loss_bar(settings.steps, learner.step) as report, asked_to_stop() as stop:
        while not learner.done:
            report(_step(run))
            if stop() or learner.done or learner.step % settings.check_every == 0:
                keep(learner, run.output.states, run.identity)
            if stop():
                _LOG.info("Stopped after step %d. Run the same command again to continue.", learner.step)
                raise KeyboardInterrupt


def _step(run: _Run) -> float:
    try:
        return run.learner.take_step()
    except TuningError:  # its states lead to the same end
        remove_states(run.output.states)
        raise


def _check(run: _Run) -> None:
    try:
        run.learner.check_learned()
    except TuningError:
        remove_states(run.output.states)
        raise


def _draw_results(run: _Run, predict: Predict, learning: _Learning, steps: int) -> None:
    """Draw the edits of held-out pairs; without any, of those that were learned from, as their names say."""
    attended, device = run.learner.attended(), run.pipeline.device
    rows: list[tuple[str, Pair, Image.Image]] = []
    for index, pair in learning.shown.items():
        source = learning.latents[index].source[None].to(device)
        noise = draw_noise(tuple(source.shape), SHEET_SEED).to(device)
        result = run.pipeline.pictures(draw_edit(predict, source, noise, steps, attended))[0]
        name = f"pair {index + 1}, {'held out' if index >= learning.learned_from else 'learned from'}"
        rows.append((name, pair, result))
    draw_sheet(learning.first, rows, run.output.sheet)
