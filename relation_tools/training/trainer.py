"""The training loop: steps, states to resume from, and output."""

from __future__ import annotations

import logging
import os
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh

from relation_core.progress import Progress
from relation_core.randomness import generator_of
from relation_core.samples.samples import Sample
from relation_core.weights.atomic import appearing
from relation_core.weights.lock import alone_in

from ..diffusers_host.offloading import keep_blocks_away
from ..diffusers_host.text_encoders import check_text_encoders
from .accuracy import Question, make_questions, measure
from .curve import Curve
from .curve_picture import draw_curve
from .encoding import Watched, encoded_once, unwatched
from .export import export
from .flow import RelationFlow, draw_times
from .flow_sampling import edit_with
from .learning_rate import learning_rate_factor
from .models import build_flow, load_encoders
from .moving_average import MovingAverage
from .optimizer import make_optimizer
from .picture_cache import PictureCache, open_cache
from .processes import samples_at_once, start_processes
from .run_identity import MADE_WITH, check_identity, run_identity, samples_fingerprint
from .run_state import going_on, save_state
from .settings import RunSettings
from .sharding import divide, usable_in_parts, weights_here
from .sheets import draw_results, one_of_each_task
from .small_cards import check_small
from .steps import Steps, WholeSteps
from .stopping import StopRequest
from .texts import EmptyTexts, Texts, open_texts
from .trackers import track, tracked
from .trained_state import TrainedState, read_state
from .training_data import TrainingData, labelled_samples
from .zero import ZeroAdamW

CURVE = "curve.csv"
COLUMNS = ("step", "loss", "learning_rate", "samples_per_second", "accuracy")
CurveRow = dict[str, str]
_LOG = logging.getLogger(__name__)


def train(settings: RunSettings, watched: Watched = unwatched) -> None:
    """Train to the last step, resuming from the newest state in the output folder.

    Args:
        settings: the run's.
        watched: shows the progress of encoding.

    Raises:
        BusyError: another process trains into that folder.
        ProcessesError: the processes were started to divide the model in a way that is not supported.
        CheckpointError: the state there belongs to a run with other settings, or a model file is not what it should be.
        KeyboardInterrupt: SIGTERM came; the steps until then are in a state.
    """
    main = os.environ.get("RANK", "0") == "0"  # of accelerate's processes
    with alone_in(settings.output, "training in") if main else nullcontext():
        Trainer(settings, watched).run()


class Trainer:
    """One run.

    Args:
        settings: the run's.
        watched: shows the progress of encoding.
    """

    def __init__(self, settings: RunSettings, watched: Watched = unwatched) -> None:
        self.settings, self._watched = settings, watched
        training = settings.training
        on_cpu, trackers = settings.device == "cpu", settings.records.trackers
        processes = start_processes(on_cpu, training.precision, trackers, settings.output)
        self.accelerator, self.processes = processes.accelerator, processes
        self.main = bool(self.accelerator.is_main_process)
        check_small(settings, processes)
        if settings.models.text is not None:
            check_text_encoders(settings.models.text)
        samples, tasks = labelled_samples(settings.data.train)
        tested = None if settings.data.test is None else labelled_samples(settings.data.test)
        self.at_once = samples_at_once(training.batch_size, self.accelerator.num_processes, training.accumulate)
        torch.manual_seed(settings.seed)  # the random start of new weights
        self.encoders = load_encoders(settings.models.vae, settings.models.vision, self.accelerator.device)
        self.flow: RelationFlow = build_flow(settings, self.encoders.vision_dim)
        cache = self._cache(settings.data.train, samples)
        self.data = TrainingData(samples, tasks, cache, settings.data.exemplars)
        self.identity = run_identity(settings, {"the dataset": samples_fingerprint(samples, cache.fingerprint)})
        self.texts = self._texts([*samples, *(tested[0] if tested else ())])
        prepared = self._prepared()
        self.parameters = self.flow.trained()
        self.optimizer, self.steps = self._optimizer(prepared)
        self.average = MovingAverage(self.parameters, training.ema)
        self.state = TrainedState(self.parameters, self.average, self.optimizer)
        self.step = self._resume()
        self.questions, self.tests = self._test_questions(tested)

    def _cache(self, file: Path, samples: list[Sample]) -> PictureCache:
        folder, long_side = self.settings.data.cache / file.stem, self.settings.data.long_side

        def opening(progress: Progress) -> PictureCache:
            return open_cache(folder, file.parent, samples, long_side, self.encoders, progress)

        return encoded_once(opening, folder, self.accelerator, self._watched, f"encode the pictures of {file.name}")

    def _texts(self, samples: list[Sample]) -> Texts:
        models, config = self.settings.models, self.flow.transformer.config
        if models.text is None:
            return EmptyTexts(config["joint_attention_dim"], config["pooled_projection_dim"])
        texts = {sample.text for sample in samples}
        folder, device = self.settings.data.cache / "texts", self.accelerator.device
        encoders, tokens = models.text, models.text_tokens

        def opening(progress: Progress) -> Texts:
            return open_texts(folder, texts, encoders, tokens, device, progress)

        return encoded_once(opening, folder, self.accelerator, self._watched, "encode the texts")

    def _test_questions(
        self, tested: tuple[list[Sample], list[str]] | None
    ) -> tuple[list[Question], PictureCache | None]:
        file, records = self.settings.data.test, self.settings.records
        if file is None or tested is None:
            return [], None
        samples, tasks = tested
        cache = self._cache(file, samples)
        count = max(records.measured_samples, 20 * records.sheet_samples)
        return make_questions(samples, tasks, cache, count, self.settings.seed), cache

    def _prepared(self) -> Any:
        """The models as all processes train them together."""
        if self.settings.training.compile:
            self.flow.compile()
        if self.settings.models.offload:
            keep_blocks_away(self.flow, self.flow.transformer, self.accelerator.device)
            return self.accelerator.prepare(self.flow, device_placement=[False])
        if self.processes.divided_by is None:
            return self.accelerator.prepare(self.flow.to(self.accelerator.device))
        if self.processes.zero:
            return self.flow.to(self.accelerator.device)  # which its optimizer prepares
        divide(self.flow, init_device_mesh(self.accelerator.device.type, (self.accelerator.num_processes,)))
        return self.flow

    def _optimizer(self, prepared: Any) -> tuple[torch.optim.Optimizer, Steps]:
        """The optimizer, and what takes steps by it."""
        training, stage = self.settings.training, self.processes.zero
        if stage:
            zero = ZeroAdamW(prepared, self.parameters, training, self.at_once, stage, self.accelerator.autocast)
            if self.main:
                _LOG.info("ZeRO divides the moments: this process holds those of %d of %d weights.", *zero.held())
            return zero, zero
        optimizer = make_optimizer(self.parameters.values(), training)
        stepped, parameters = self.accelerator.prepare(optimizer), self.parameters.values()
        return optimizer, WholeSteps(self.accelerator, prepared, parameters, stepped, training.max_gradient)

    def _resume(self) -> int:
        folder = self.settings.output / "states"
        state = read_state(folder, self.main)
        if state is None:
            return 0
        check_identity(state, self.identity, folder)
        with going_on(folder):
            self.state.take(state)
        _LOG.info("Continuing after step %d.", state["step"])
        return state["step"]

    def run(self) -> None:
        """Train to the last step.

        Raises:
            KeyboardInterrupt: SIGTERM came; the steps until then are in a state.
        """
        every, training = self.settings.records.record_every, self.settings.training
        if self.main:
            _LOG.info(
                "%d samples a step: %d process(es), %d part(s), %d at once.",
                *(training.batch_size, self.accelerator.num_processes, training.accumulate, self.at_once),
            )
        if self.main and self.processes.divided:
            held, all_of_them = weights_here(self.flow)
            _LOG.info("FSDP divides the model: this process holds %d of %d weights.", held, all_of_them)
        curve = Curve(self.settings.output / CURVE, COLUMNS, self.step) if self.main else None
        losses, seconds, taken = torch.zeros((), device=self.accelerator.device), 0.0, 0
        stop = StopRequest()
        with stop.listening(), tracked(self.accelerator, self.settings, self.step):
            while self.step < training.steps:
                started = time.monotonic()
                losses += self._take_step()
                self.step += 1
                self.average.update(self.step)
                seconds, taken = seconds + time.monotonic() - started, taken + 1
                recorded = self.step % every == 0
                if recorded:
                    losses = self.accelerator.reduce(losses, "mean")
                self._write(curve, self._row(losses / taken, taken / seconds) if recorded and self.main else {})
                if recorded:
                    losses, seconds, taken = torch.zeros_like(losses), 0.0, 0
                if stop.came() and self.step < training.steps:
                    self._stop()
        self.accelerator.wait_for_everyone()

    def _stop(self) -> None:
        """Save a state of the steps until now, and end."""
        if not self._due(self.settings.records.save_every):
            self._save()
        self.accelerator.wait_for_everyone()
        if self.main:
            _LOG.info("Told to end: the state of step %d is saved. The same command goes on from it.", self.step)
        raise KeyboardInterrupt

    def _write(self, curve: Curve | None, row: CurveRow) -> None:
        """Write what is due after a step; all processes of a divided model or optimizer take part."""
        if not (self.main or self.processes.divided_by):
            return
        records, output = self.settings.records, self.settings.output
        if self._due(records.save_every):
            self._save()
        if self._due(records.export_every):
            self._export()
        if self.tests is not None and self._due(records.sheet_every):
            row = {**row, **self._test(self.tests)}
        if curve is None:
            return
        if row:
            curve.add({"step": self.step, **row})
            track(self.accelerator, row, self.step)
            _LOG.info("step %d: %s", self.step, ", ".join(f"{name} {value}" for name, value in row.items()))
        if self._due(records.sheet_every):
            draw_curve(output / CURVE, output / "curve.png")

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.settings.training.steps

    def _take_step(self) -> torch.Tensor:
        training = self.settings.training
        factor = learning_rate_factor(self.step, training.steps, training.warmup, training.decay)
        for group in self.optimizer.param_groups:
            group["lr"] = training.learning_rate * factor
        total = torch.zeros((), device=self.accelerator.device)
        for part in range(training.accumulate):
            total += self.steps.part(partial(self._share_of_loss, part), part + 1 == training.accumulate)
        self.steps.finish()
        return total

    def _share_of_loss(self, part: int) -> torch.Tensor:
        return self._loss(part) / self.settings.training.accumulate

    def _loss(self, part: int) -> torch.Tensor:
        training, device = self.settings.training, self.accelerator.device
        # Which process computes a batch changes nothing in it.
        number = part * self.accelerator.num_processes + self.accelerator.process_index
        generator = generator_of(self.settings.seed, self.step, number)
        batch = self.data.draw(self.at_once, generator)
        times = draw_times(len(batch.target), training.times, generator)
        noise = torch.randn(batch.target.shape, generator=generator)
        kept = torch.rand(len(batch.target), generator=generator) >= training.exemplar_dropout
        pooled = batch.pooled * kept[:, None, None]
        tensors = (pooled, batch.source, batch.target, noise, times, *self.texts.encoded(batch.texts))
        with nullcontext() if self.processes.zero else self.accelerator.autocast():  # ZeRO's model does so by itself
            return self.steps.prepared(*(tensor.to(device) for tensor in tensors))

    def _row(self, loss: torch.Tensor, steps_per_second: float) -> CurveRow:
        samples = self.settings.training.batch_size
        return {
            "loss": f"{loss.item():.5f}",
            "learning_rate": f"{self.optimizer.param_groups[0]['lr']:.3g}",
            "samples_per_second": f"{samples * steps_per_second:.1f}",
        }

    def _save(self) -> None:
        state = {MADE_WITH: self.identity, **self.state.values(self.main)}
        if self.main:
            save_state(self.settings.output / "states", self.step, state, self.settings.records.keep)

    def _export(self) -> None:
        dtype = getattr(torch, self.settings.records.export_dtype)
        with self.average.applied():
            export(self.flow, self.settings.output / "exported", self.settings.training.trained, dtype, self.main)

    def _test(self, cache: PictureCache) -> CurveRow:
        """Draw a sheet, and measure the accuracy if requested."""
        records, row = self.settings.records, CurveRow()
        edit = edit_with(self.flow, self.encoders, cache, records.sheet_steps, self.settings.seed, texts=self.texts)
        self.flow.eval()
        with self.average.applied(), usable_in_parts(self.flow), self.accelerator.autocast():
            sheet = draw_results(one_of_each_task(self.questions, records.sheet_samples), cache, edit)
            if records.measured_samples:
                found = measure(self.questions[: records.measured_samples], cache, edit)
                row["accuracy"] = f"{found.share:.4f}"
        self.flow.train()
        if not self.main:
            return row
        folder = self.settings.output / "sheets"
        folder.mkdir(exist_ok=True)
        with appearing(folder / f"step-{self.step:08d}.jpg") as unfinished:
            sheet.save(unfinished, "JPEG", quality=90)
        return row
