"""Random prompts for the small model, and the files of theirs that a client replaces under their names."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

from comfyui_host.graph import Graph, Node
from comfyui_host.server import Prompt
from relation_core.scenes.examples import draw_example
from relation_core.scenes.named_edits import EDITS

VERSIONS = 2
"""What a client's files show: pictures, a dataset and a relation, of the same names."""
_EDITS = [("sky_orange", 11, 12), ("invert", 13, 14)]
_PICTURES = ("before", "after", "source", "target")
_SCENES = 12


class Files:
    """The files of one client."""

    def __init__(self, base: Path, client: str) -> None:
        self._pictures = base / "input" / client
        self._relation = base / "output" / "relations" / client / "shown.safetensors"
        for folder in (self._pictures, self._relation.parent):
            folder.mkdir(parents=True)
        sample = {"cond1": "before.png", "cond2": "after.png", "source": "source.png", "target": "target.png"}
        (self._pictures / "test.jsonl").write_text(json.dumps({**sample, "text": "Do the same."}))

    def show(self, version: int, relation: bytes) -> None:
        """Write this version over the last, in the same files, with their times of modification set back."""
        for name, picture in zip(_PICTURES, draw_example(*_EDITS[version]), strict=True):
            picture.save(self._pictures / f"{name}.png")
        self._relation.write_bytes(relation)
        for file in (*self._pictures.iterdir(), self._relation):
            os.utime(file, (0, 0))


def saving(version: int, name: str) -> Prompt:
    """The prompt that saves the relation of a version."""
    graph = Graph()
    edit, exemplar, source = _EDITS[version]
    example = graph.add("RelationExample", edit=edit, exemplar_scene=exemplar, source_scene=source)
    shown = graph.add(
        "RelationExemplarEncode",
        relation_adapter=graph.add("LoadSmallRelationModel")[2],
        before=example[0],
        after=example[1],
        fit="pad",
        weight=1.0,
    )
    graph.add("SaveRelation", relation=shown, filename_prefix=name)
    return graph.nodes


class DrawnPrompt:
    """A random edit. What it is made of is drawn from the seed alone; whose files it reads is the client's."""

    def __init__(self, seed: int, client: str) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - no secret
        self._client = client
        self.reads_files = False
        """Whether its pictures change with the version of the files."""
        graph = self._graph = Graph()
        small = graph.add("LoadSmallRelationModel")
        self._model, self._vae, self._adapter = (small[index] for index in range(3))
        picture = self._source()
        prompt = graph.add("RelationEmptyPrompt", model=self._model)
        source = graph.add(
            "RelationSourceEncode",
            conditioning=prompt,
            vae=self._vae,
            image=picture,
            long_side=self._draw.choice([0, 0, 48]),
            source_scale=self._draw.choice([1.0, 1.0, 0.5]),
        )
        samples = self._sampled(self._patched(), source)
        decoded = graph.add("VAEDecode", samples=samples, vae=self._vae)
        graph.add("PreviewImage", images=decoded)
        if self._draw.random() < 0.3:
            kept = graph.add("RelationKeep", source=picture, result=decoded, threshold=0.0, grow=0, feather=0)
            graph.add("PreviewImage", images=kept)

    @property
    def nodes(self) -> Prompt:
        """The graph."""
        return self._graph.nodes

    def _chance(self, share: float) -> bool:
        return self._draw.random() < share

    def _example(self, **more: Any) -> Node:
        return self._graph.add(
            "RelationExample",
            edit=self._draw.choice(list(EDITS)),
            exemplar_scene=self._draw.randrange(_SCENES),
            source_scene=self._draw.randrange(_SCENES),
            **more,
        )

    def _file(self, name: str) -> Node:
        self.reads_files = True
        return self._graph.add("LoadImage", image=f"{self._client}/{name}.png")

    def _sample(self) -> Node:
        self.reads_files = True
        return self._graph.add("LoadRelationSample", dataset=f"{self._client}/test.jsonl", index=0)

    def _source(self) -> Any:
        kind = self._draw.choice(["drawn", "batch", "file", "sample"])
        if kind == "file":
            return self._file("source")
        if kind == "sample":
            return self._sample()[2]
        drawn = self._example()[2]
        return self._graph.add("ImageBatch", image1=drawn, image2=self._example()[2]) if kind == "batch" else drawn

    def _encoded(self, before: Any, after: Any, **more: Any) -> Node:
        return self._graph.add(
            "RelationExemplarEncode",
            relation_adapter=self._adapter,
            before=before,
            after=after,
            fit="pad",
            weight=self._draw.choice([1.0, 0.5, 2.0]),
            **more,
        )

    def _of(self, shown: Node, **more: Any) -> Node:
        return self._encoded(shown[0], shown[1], **more)

    def _relation(self, depth: int = 0) -> Node:
        kinds = ["drawn", "pairs", "files", "sample", "saved", "saved", "learned"]
        kind = self._draw.choice(kinds if depth else [*kinds, "average", "concat", "added"])
        if kind in {"average", "concat"}:
            # An average needs as many pairs in both.
            first, second = (self._relation(1) if kind == "concat" else self._of(self._example()) for _ in range(2))
            ratio = self._draw.choice([0.25, 0.5])
            return self._graph.add("BlendRelations", relation_1=first, relation_2=second, ratio=ratio, mode=kind)
        if kind == "added":
            return self._of(self._example(), relation=self._relation(1))
        if kind == "files":
            return self._encoded(self._file("before"), self._file("after"))
        if kind == "sample":
            return self._of(self._sample())
        if kind == "saved":
            self.reads_files = True
            name = f"{self._client}/shown.safetensors"
            return self._graph.add("LoadRelation", relation_adapter=self._adapter, relation_name=name)
        example = self._example(pairs=2 if kind == "pairs" else 1)
        return self._learned(example) if kind == "learned" else self._of(example)

    def _learned(self, example: Node) -> Node:
        return self._graph.add(
            "TuneRelation",
            model=self._model,
            relation_adapter=self._adapter,
            vae=self._vae,
            conditioning=self._graph.add("RelationEmptyPrompt", model=self._model),
            before=example[0],
            after=example[1],
            steps=2,
            learning_rate=0.1,
            seed=self._draw.randrange(3),
            long_side=0,
            batch_size=16,
        )

    def _patched(self) -> Any:
        model = self._model
        for _ in range(2 if self._chance(0.3) else 1):
            relation = self._relation()
            if self._chance(0.3):
                self._graph.add("SaveRelation", relation=relation, filename_prefix=f"{self._client}/saved")
            start, end = self._draw.choice([(0.0, 1.0), (0.0, 0.7), (0.3, 1.0)])
            mask = {"mask": self._mask()} if self._chance(0.3) else {}
            strength = self._draw.choice([1.0, 0.7])
            settings = {"strength": strength, "start_percent": start, "end_percent": end}
            model = self._graph.add("ApplyRelationAdapter", model=model, relation=relation, **settings, **mask)
        if self._chance(0.3):
            model = self._graph.add("RelationSourceReuse", model=model, refresh_every=2)
        return model

    def _mask(self) -> Node:
        add = self._graph.add
        black, white = (
            add("SolidMask", value=0.0, width=128, height=128),
            add("SolidMask", value=1.0, width=64, height=96),
        )
        x, y = (self._draw.choice([0, 32, 64]) for _ in range(2))
        return add("MaskComposite", destination=black, source=white, x=x, y=y, operation="add")

    def _sampled(self, model: Any, source: Node) -> Node:
        add = self._graph.add
        return add(
            "SamplerCustomAdvanced",
            noise=add("RandomNoise", noise_seed=self._draw.randrange(3)),
            guider=add("BasicGuider", model=model, conditioning=source),
            sampler=add("KSamplerSelect", sampler_name=self._draw.choice(["euler", "heun"])),
            sigmas=add("RelationScheduler", steps=self._draw.choice([2, 4]), latent=source[1], denoise=1.0),
            latent_image=source[1],
        )
