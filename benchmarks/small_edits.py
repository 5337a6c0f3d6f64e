"""Every named edit that the small model was trained on, shown by one pair and made of several landscapes."""

from __future__ import annotations

from statistics import mean

import torch

from comfyui_host.graph import Node
from relation_core.pictures.tensors import from_pil, to_pil

from .landscape_edits import JUDGED_BY, TRAINED, is_right, pair_of, pairs_to_learn
from .small_model import SmallModel, Way


class SmallEdits:
    """The edits as nodes of a graph, and what is made of them."""

    def __init__(self, model: SmallModel, sources: int) -> None:
        """Encode pairs and sources.

        Args:
            model: what edits.
            sources: landscapes for each edit.
        """
        self._model, self._graph = model, model.graph.copy()
        self._edits: list[tuple[Node, Node]] = []
        """Every edit's relation and batch of encoded sources."""
        self.shown: list[tuple[str, int]] = []
        """Every edit's name, and the numbers of its sources in turn."""
        indices = range(JUDGED_BY, JUDGED_BY + sources)
        for name in TRAINED:
            self.shown += [(name, index) for index in indices]
            relation = model.encoded(self._graph, pairs_to_learn(name, 1))
            pictures = torch.cat([from_pil(pair_of(name, index)[0]) for index in indices])
            self._edits.append((relation, model.source(self._graph, pictures)))

    def pictures(self, way: Way) -> torch.Tensor:
        """Sample all edits in one way with the same noise: (edits x sources, height, width, 3) in [0, 1]."""
        results = list[torch.Tensor]()
        for relation, source in self._edits:
            graph = self._graph.copy()
            results.append(self._model.host.run(graph, pictures=self._model.edited(graph, relation, source, way, 0)))
        return torch.cat(results)

    def right(self, *ways: torch.Tensor) -> list[float]:
        """Of each way's pictures, from :meth:`pictures`, the share that show the right edit."""
        pictures = [to_pil(way) for way in ways]
        verdicts = [
            [is_right(*what, made[place]) for made in pictures] for place, what in enumerate(self.shown)
        ]  # a landscape's look-alikes are painted once
        return [mean(of_way) for of_way in zip(*verdicts, strict=True)]

    def pairs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Sources and true targets, as :meth:`pictures` orders and shapes them."""
        pairs = [pair_of(*what) for what in self.shown]
        before, after = (torch.cat([from_pil(pair[place]) for pair in pairs]) for place in range(2))
        return before, after
