"""Batches of sources and masks go to their own latents, or the run is refused before it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from edits import relative_error
from refusals import message_of
from small_edits import SmallEdit

from comfyui_host.graph import Node
from comfyui_host.host import Host
from relation_core.pictures.tensors import from_pil
from relation_core.scenes.examples import draw_pair
from relation_core.scenes.small_model import STEPS
from tests.small_pairs import SIDE, small

BOUND = 1e-5
SEED = 2**64 - 1
Latents = Callable[["Batch"], Any]


class Batch(SmallEdit):
    """Three small landscapes, sources of one edit."""

    def __init__(self, host: Host, pictures: int = 3) -> None:
        super().__init__(host, "sky_green", 1, 2)
        add = self.graph.add
        self.pictures = [
            self.value(from_pil(small(draw_pair("sky_green", scene)[0]))) for scene in range(2, 2 + pictures)
        ]
        batch = self.pictures[0]
        for picture in self.pictures[1:]:
            batch = add("ImageBatch", image1=batch, image2=picture)
        self.batched = batch
        self.sources = self.encoded(self.prompt, batch)
        self.latents = self.sources[1]

    def pick(self, samples: Any, first: int, length: int = 1) -> Node:
        return self.graph.add("LatentFromBatch", samples=samples, batch_index=first, length=length)

    def join(self, *samples: Any) -> Any:
        joined = samples[0]
        for one in samples[1:]:
            joined = self.graph.add("LatentBatch", samples1=joined, samples2=one)
        return joined

    def repeat(self, samples: Any, amount: int) -> Node:
        return self.graph.add("RepeatLatentBatch", samples=samples, amount=amount)

    def rebatch(self, samples: Any, size: int) -> Node:
        return self.graph.add("RebatchLatents", latents=samples, batch_size=size)

    def empty(self, batch: int, side: int = SIDE) -> Node:
        return self.graph.add("EmptySD3LatentImage", width=side, height=side, batch_size=batch)

    def enlarged(self, samples: Any) -> Node:
        return self.graph.add("LatentUpscaleBy", samples=samples, upscale_method="nearest-exact", scale_by=1.5)

    def edited(self, latents: Any, **settings: Any) -> Node:
        return self.sampled(self.applied(**settings), self.sources[0], latents, seed=SEED)

    def edited_alone(self, source: int, size: Any, start: torch.Tensor, noise: torch.Tensor) -> Node:
        """One picture, from the noise and the latent that it has in a batch."""
        add = self.graph.add
        given = self.host.run(self.graph, latent=size)
        latent = {"samples": start} | {key: given[key] for key in ("noise_mask",) if key in given}
        model = self.applied()
        conditioning = self.encoded(self.prompt, self.pictures[source])[0]
        return add(
            "SamplerCustomAdvanced",
            noise=add("ProbeNoise", tensor=self.value(noise)),
            guider=add("BasicGuider", model=model, conditioning=conditioning),
            sampler=add("KSamplerSelect", sampler_name="euler"),
            sigmas=add("RelationScheduler", steps=STEPS, latent=size, denoise=1.0),
            latent_image=self.value(latent),
        )


REFUSED: dict[str, Latents] = {
    "rebatched singly": lambda b: b.rebatch(b.latents, 1),
    "rebatched by two": lambda b: b.rebatch(b.latents, 2),
    "picked": lambda b: b.pick(b.latents, 2),
    "the first two": lambda b: b.pick(b.latents, 0, 2),
    "one too many": lambda b: b.join(b.latents, b.pick(b.latents, 0)),
    "in another order": lambda b: b.join(b.pick(b.latents, 1, 2), b.pick(b.latents, 0)),
    "the same one thrice": lambda b: b.repeat(b.pick(b.latents, 1), 3),
    "turned in a repeated batch": lambda b: b.pick(b.repeat(b.latents, 2), 1, 3),
    "repeated one by one": lambda b: b.join(*[b.repeat(b.pick(b.latents, row), 2) for row in range(3)]),
    "an empty single latent": lambda b: b.empty(1),
    "picked from empty latents": lambda b: b.pick(b.empty(8), 4, 3),
    "picked and enlarged": lambda b: b.enlarged(b.pick(b.repeat(b.latents, 2), 2, 3)),
    "results in another order": lambda b: b.join(b.pick(b.edited(b.latents), 2), b.pick(b.edited(b.latents), 0, 2)),
    "a result picked": lambda b: b.pick(b.enlarged(b.edited(b.latents)), 1),
}


@pytest.mark.parametrize("latents", REFUSED.values(), ids=REFUSED)
def test_latents_that_are_not_the_sources_are_refused(host: Host, latents: Latents) -> None:
    batch = Batch(host)
    message = message_of(batch, batch.edited(latents(batch)), "BatchMismatchError")
    assert "Rebatch Images" in message


MATCHED: dict[str, tuple[Latents, list[int]]] = {
    "its own": (lambda b: b.latents, [0, 1, 2]),
    "repeated": (lambda b: b.repeat(b.latents, 2), [0, 1, 2, 0, 1, 2]),
    "repeated, then rebatched": (lambda b: b.rebatch(b.repeat(b.latents, 2), 3), [0, 1, 2]),
    "the second repetition": (lambda b: b.pick(b.repeat(b.latents, 2), 3, 3), [0, 1, 2]),
    "taken apart and put together": (
        lambda b: b.join(b.pick(b.latents, 0), b.pick(b.latents, 1), b.pick(b.latents, 2)),
        [0, 1, 2],
    ),
    "encoded apart": (lambda b: b.join(*[b.encoded(b.prompt, p)[1] for p in b.pictures]), [0, 1, 2]),
    "one noise for all": (
        lambda b: b.graph.add("LatentBatchSeedBehavior", samples=b.latents, seed_behavior="fixed"),
        [0, 1, 2],
    ),
    "empty": (lambda b: b.empty(3), [0, 1, 2]),
    "empty and repeated": (lambda b: b.repeat(b.empty(1), 6), [0, 1, 2, 0, 1, 2]),
    "empty and larger": (lambda b: b.empty(3, 96), [0, 1, 2]),
    "enlarged": (lambda b: b.enlarged(b.latents), [0, 1, 2]),
    "masked": (
        lambda b: b.graph.add("SetLatentNoiseMask", samples=b.latents, mask=b.value(torch.rand(1, SIDE, SIDE))),
        [0, 1, 2],
    ),
}


@pytest.mark.parametrize(("latents", "sources"), MATCHED.values(), ids=MATCHED)
def test_every_latent_gets_its_own_source(host: Host, latents: Latents, sources: list[int]) -> None:
    batch = Batch(host)
    assert_every_row_is_its_own_edit(batch, latents(batch), sources)


def assert_every_row_is_its_own_edit(batch: Batch, given: Any, sources: list[int]) -> None:
    """Every row of a batch is what its source gives alone, from the noise and the latent of its place."""
    found, start = batch.run(batch.edited(given), given)
    places = batch.host.run(batch.graph, latent=given).get("batch_index", range(len(sources)))
    assert found.shape[0] == len(places) == len(sources)
    noise = torch.randn(12, *start.shape[1:], generator=torch.Generator().manual_seed(SEED))
    for row, (source, place) in enumerate(zip(sources, places, strict=True)):
        alone = batch.edited_alone(source, given, start[row : row + 1], noise[place : place + 1])
        assert relative_error(found[row : row + 1], batch.run(alone)) < BOUND, row


def test_a_second_pass_keeps_every_picture_with_its_source(host: Host) -> None:
    batch = Batch(host)
    first = batch.edited(batch.latents)
    larger = batch.enlarged(first)
    found, start = batch.run(batch.edited(larger), larger)
    noise = torch.randn(3, *start.shape[1:], generator=torch.Generator().manual_seed(SEED))
    for row in range(3):
        alone = batch.edited_alone(row, larger, start[row : row + 1], noise[row : row + 1])
        assert relative_error(found[row : row + 1], batch.run(alone)) < BOUND


@pytest.mark.parametrize("masks", [2, 3])
def test_masks_belong_to_their_latents_too(host: Host, masks: int) -> None:
    batch = Batch(host)
    batch.sources = batch.encoded(batch.prompt, batch.pictures[0])
    mask = batch.value(torch.rand(masks, SIDE, SIDE))
    latents = batch.empty(2 * masks)
    batch.run(batch.edited(latents, mask=mask), batch.edited(batch.pick(latents, masks, masks), mask=mask))
    for picked in (batch.pick(latents, 1), batch.pick(latents, 1, masks), batch.pick(latents, 0, masks + 1)):
        message = message_of(batch, batch.edited(picked, mask=mask), "BatchMismatchError")
        assert f"{masks} masks of Apply RelationAdapter" in message


def test_the_cores_own_reference_latents_are_sources_too(host: Host) -> None:
    batch = Batch(host)
    reference = batch.graph.add("ReferenceLatent", conditioning=batch.prompt, latent=batch.latents)
    batch.sources = {0: reference}  # type: ignore[assignment]
    batch.run(batch.edited(batch.latents))
    assert "3 source pictures" in message_of(batch, batch.edited(batch.pick(batch.latents, 1)), "BatchMismatchError")


def test_a_single_source_goes_with_any_latents(host: Host) -> None:
    batch = Batch(host, pictures=1)
    assert_every_row_is_its_own_edit(batch, batch.pick(batch.empty(8), 5, 2), [0, 0])
    assert_every_row_is_its_own_edit(batch, batch.rebatch(batch.empty(3), 1), [0])
    assert_every_row_is_its_own_edit(batch, batch.repeat(batch.latents, 3), [0, 0, 0])


def test_smaller_sources_are_known_by_their_latents(host: Host) -> None:
    batch = Batch(host)
    batch.sources = batch.encoded(batch.prompt, batch.batched, source_scale=0.5)
    latents = batch.sources[1]
    batch.run(batch.edited(latents))
    turned = batch.join(batch.pick(latents, 1, 2), batch.pick(latents, 0))
    fixed = batch.graph.add("LatentBatchSeedBehavior", samples=turned, seed_behavior="fixed")  # noise says nothing
    message = message_of(batch, batch.edited(fixed), "BatchMismatchError")
    assert "Latent 0 of this run is that of source picture 1" in message
