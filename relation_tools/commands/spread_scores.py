"""Scores by Ray's workers, each of which loads the models once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..evaluation.batch_scoring import Batch, BatchScorer, ScoredBatch
from ..evaluation.run_folder import RunFolder
from ..spread.cluster import cluster
from ..spread.spreading import Lost, spread
from .scorers import has_models, open_scorers


def score_spread(options: argparse.Namespace, batches: Sequence[Batch]) -> Iterator[tuple[Batch, ScoredBatch | str]]:
    """Give the scores of batches as they arrive.

    Raises:
        RelationAdapterError: nothing can be scored.
    """
    models = has_models(options)
    with cluster(options.ray, options.workers, on_cards=models, on_cores=not models) as where:
        for batch, ended in spread(where, batches, partial(made_ready, options)):
            lost = isinstance(ended, Lost)
            yield batch, ended.reason("it or a sample that is scored with it") if lost else ended


def made_ready(options: argparse.Namespace) -> Callable[[list[Batch]], list[ScoredBatch]]:
    """Make this process ready to score batches.

    Raises:
        RelationAdapterError: a model cannot be loaded.
    """
    scorer = BatchScorer(options.file, RunFolder(options.folder), open_scorers(options))
    return lambda batches: [scorer(batch) for batch in batches]
