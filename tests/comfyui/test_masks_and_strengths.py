"""Where, how strongly and when the relation acts, read off the attention of every block."""

from __future__ import annotations

import pytest
import torch
from edits import POSITIONS_ONLY, Edit, relative_error

from comfyui_host.host import Host

BOUND = 1e-5
TEXT, ROWS, COLUMNS = 12, 4, 6
TARGET = slice(TEXT, TEXT + ROWS * COLUMNS)


def first_block(host: Host, kind: str = "double", **settings: object) -> torch.Tensor:
    """Attention of the first block of a kind in the first step; only that kind takes part in the relation."""
    edit = Edit(host)
    if mask := settings.pop("mask", None):
        settings["mask"] = edit.value(mask[0])
    other = "single_strength" if kind == "double" else "double_strength"
    model = edit.apply(edit.model(), edit.relation(), **{other: 0.0, **settings})
    return edit.attention(model, edit.with_source(edit.text()))[(kind, 0)][0]


@pytest.fixture(scope="module")
def added(host: Host) -> dict[str, torch.Tensor]:
    """What strength 1 adds to the first block, by kind."""
    return {
        kind: first_block(host, kind, strength=1.0) - first_block(host, kind, **POSITIONS_ONLY)
        for kind in ("double", "single")
    }


@pytest.mark.parametrize("kind", ["double", "single"])
@pytest.mark.parametrize("strength", [-1.0, 0.5, 2.0, 10.0])
def test_strength_scales_what_is_added(host: Host, added: dict[str, torch.Tensor], kind: str, strength: float) -> None:
    found = first_block(host, kind, strength=strength) - first_block(host, kind, **POSITIONS_ONLY)
    assert relative_error(found, strength * added[kind]) < BOUND


def test_double_and_single_strength_multiply(host: Host, added: dict[str, torch.Tensor]) -> None:
    for kind in ("double", "single"):
        found = first_block(host, kind, strength=0.5, **{f"{kind}_strength": -3.0})
        assert relative_error(found - first_block(host, kind, **POSITIONS_ONLY), -1.5 * added[kind]) < BOUND


def test_double_blocks_leave_text_alone_and_single_blocks_do_not(added: dict[str, torch.Tensor]) -> None:
    assert not added["double"][:, :TEXT].any()
    assert added["double"][:, TEXT:].abs().amin(-1).mean() > 0
    assert added["single"][:, :TEXT].abs().sum(-1).min() > 0


@pytest.mark.parametrize("size", [(4, 6), (64, 96), (37, 513), (3, 3), (1, 1)])
def test_a_mask_of_ones_equals_no_mask(host: Host, size: tuple[int, int]) -> None:
    edit = Edit(host)
    model, relation, text = edit.model(), edit.relation(), edit.with_source(edit.text())
    mask = edit.value(torch.ones(1, *size))
    masked, free = edit.run(
        edit.sample(edit.apply(model, relation, mask=mask), text), edit.sample(edit.apply(model, relation), text)
    )
    assert relative_error(masked, free) < BOUND


@pytest.mark.parametrize("kind", ["double", "single"])
def test_a_mask_acts_on_its_tokens_in_proportion(host: Host, added: dict[str, torch.Tensor], kind: str) -> None:
    mask = torch.zeros(1, 16 * ROWS, 16 * COLUMNS)
    mask[:, :, 32:64] = 0.5
    mask[:, :, 64:] = 1.0
    mask[:, :16, :16] = torch.linspace(0, 1, 16)  # a feathered edge within one token
    share = torch.tensor([0.0, 0.0, 0.5, 0.5, 1.0, 1.0]).repeat(ROWS)
    share[0] = 0.5
    found = first_block(host, kind, mask=(mask,)) - first_block(host, kind, **POSITIONS_ONLY)
    expected = added[kind].clone()
    for start in (TARGET.start, TARGET.stop):  # target and source alike
        expected[:, start : start + ROWS * COLUMNS] *= share[:, None]
    assert relative_error(found, expected) < BOUND
    zero = [TEXT + token for token in range(ROWS * COLUMNS) if share[token] == 0]
    assert not found[:, zero].any()
    assert torch.equal(found[:, :TEXT].any(), added[kind][:, :TEXT].any())  # text keeps the relation where it has it


def test_a_batch_of_masks_gives_every_picture_its_own(host: Host) -> None:
    edit = Edit(host)
    masks = torch.stack([torch.ones(64, 96), torch.zeros(64, 96), torch.rand(64, 96)])
    model, relation, text = edit.model(), edit.relation(), edit.with_source(edit.text())
    noise = edit.noise(2, batch=3)
    batch, *alone = edit.run(
        edit.sample(edit.apply(model, relation, mask=edit.value(masks)), text, noise=noise),
        *[
            edit.sample(edit.apply(model, relation, mask=edit.value(masks[i : i + 1])), text, noise=noise[i : i + 1])
            for i in range(3)
        ],
    )
    for i, single in enumerate(alone):
        assert relative_error(batch[i : i + 1], single) < BOUND
    assert relative_error(alone[0], alone[1]) > 1e-3


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.4), (0.3, 1.0), (0.2, 0.7)])
def test_the_relation_acts_between_its_percents(host: Host, start: float, end: float) -> None:
    """Equal to sampling in pieces, with the relation in the middle piece only."""
    edit = Edit(host)
    plain, relation, text = edit.model(), edit.relation(), edit.with_source(edit.text())
    latent = edit.latent()
    sigmas = edit.graph.add("RelationScheduler", steps=8, latent=latent, denoise=1.0)
    flux, levels = edit.run(plain, sigmas)
    to_sigma = flux.get_model_object("model_sampling").percent_to_sigma
    inside = [to_sigma(end) < float(level) <= to_sigma(start) for level in levels[:-1]]
    assert 0 < sum(inside) < len(inside)
    acting = edit.apply(plain, relation)
    resting = edit.apply(plain, relation, **POSITIONS_ONLY)
    x, noise = latent, edit.graph.add("ProbeNoise", tensor=edit.value(edit.noise()))
    for step, acts in enumerate(inside):
        rest = edit.graph.add("SplitSigmas", sigmas=sigmas, step=step)[1]
        one = edit.graph.add("SplitSigmas", sigmas=rest, step=1)
        x = edit.graph.add(
            "SamplerCustomAdvanced",
            noise=noise,
            guider=edit.graph.add("BasicGuider", model=acting if acts else resting, conditioning=text),
            sampler=edit.graph.add("KSamplerSelect", sampler_name="euler"),
            sigmas=one,
            latent_image=x,
        )
        noise = edit.graph.add("DisableNoise")
    ranged = edit.apply(plain, relation, start_percent=start, end_percent=end)
    found, expected, always = edit.run(
        edit.sample(ranged, text, latent=latent, sigmas=sigmas), x, edit.sample(acting, text, sigmas=sigmas)
    )
    assert relative_error(found, expected) < BOUND
    assert relative_error(found, always) > 1e-3


def test_consecutive_ranges_neither_overlap_nor_leave_a_gap(host: Host) -> None:
    edit = Edit(host)
    relation, text = edit.relation(), edit.with_source(edit.text())
    # Without a shift, half of sampling is exactly at the noise level 0.5, which is one of the steps here.
    shifts = {"max_shift": 0.0, "base_shift": 0.0, "width": 96, "height": 64}
    model = edit.graph.add("ModelSamplingFlux", model=edit.model(), **shifts)
    sigmas = edit.value(torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]))
    first = edit.apply(model, relation, end_percent=0.5)
    both = edit.apply(first, relation, start_percent=0.5)
    found, expected = edit.run(
        *[edit.sample(given, text, sigmas=sigmas) for given in (both, edit.apply(model, relation))]
    )
    assert relative_error(found, expected) < BOUND
