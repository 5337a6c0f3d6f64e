"""The source picture: sizes, grids, positions, and other reference latents beside it."""

from __future__ import annotations

import pytest
import torch
from compositions import encoded
from edits import POSITIONS_ONLY, Edit, relative_error

from comfyui_host.graph import Node
from comfyui_host.host import GraphError

BOUND = 1e-5


def image(edit: Edit, width: int, height: int, batch: int = 1, channels: int = 3) -> Node:
    generator = torch.Generator().manual_seed(width * 10000 + height)
    return edit.value(torch.rand(batch, height, width, channels, generator=generator))


def positions(edit: Edit, model: Node, conditioning: object, latent: Node) -> torch.Tensor:
    """The position ids that the model works with: (tokens, 3), target first."""
    seen: list[torch.Tensor] = []

    def record(args: dict[str, object]) -> dict[str, object]:
        seen.append(args["img_ids"].clone())
        return args

    patched = edit.run(model).clone()
    patched.set_model_post_input_patch(record)
    edit.run(
        edit.sample(
            edit.value(patched), conditioning, latent=latent, noise=edit.noise(1, size=shape(edit, latent)), steps=1
        )
    )
    return seen[0][0]


def shape(edit: Edit, latent: object) -> tuple[int, int]:
    return tuple(edit.run(latent).shape[-2:])


def test_positions_are_the_authors(edit: Edit) -> None:
    model = edit.apply(edit.model(), edit.relation())
    found = positions(edit, model, edit.with_source(edit.text()), edit.latent())
    assert torch.equal(found, edit.tensors["img_ids"])


def test_the_nodes_source_is_the_cores_reference_latent(edit: Edit) -> None:
    """At scale 1 our node gives what the core's VAE Encode and Reference Latent give."""
    picture = edit.picture("source")
    vae = edit.graph.add("VAELoader", vae_name="small.safetensors")
    latent = edit.graph.add("VAEEncode", pixels=picture, vae=vae)
    by_core = edit.graph.add("ReferenceLatent", conditioning=edit.text(), latent=latent)
    ours = encoded(edit, picture)
    model = edit.apply(edit.model(), edit.relation())
    found, expected, size, same = edit.run(edit.sample(model, ours), edit.sample(model, by_core), ours[1], latent)
    assert torch.equal(found, expected)
    assert torch.equal(size, same)


@pytest.mark.parametrize(
    ("width", "height"), [(64, 64), (65, 97), (333, 77), (32, 1024), (1024, 32), (511, 130), (161, 119)]
)
def test_any_size_is_edited(edit: Edit, width: int, height: int) -> None:
    check_size(edit, width, height)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(64, 2048), (2048, 64), (1023, 130), (100, 2000), (641, 479)])
def test_any_larger_size_is_edited(edit: Edit, width: int, height: int) -> None:
    check_size(edit, width, height)


def check_size(edit: Edit, width: int, height: int) -> None:
    ours = encoded(edit, image(edit, width, height))
    rows, columns = shape(edit, ours[1])
    assert (rows, columns) == (height // 16 * 2, width // 16 * 2)
    noise = edit.noise(1, size=(rows, columns))
    model, still = (edit.apply(edit.model(), edit.relation(), **settings) for settings in ({}, POSITIONS_ONLY))
    result, plain = edit.run(
        edit.sample(model, ours, noise=noise, steps=2), edit.sample(still, ours, noise=noise, steps=2)
    )
    assert result.shape == (1, 16, rows, columns)
    assert relative_error(result, plain) > 1e-3


@pytest.mark.parametrize(("width", "height", "size"), [(96, 64, (20, 32)), (64, 96, (32, 20)), (600, 600, (32, 32))])
def test_long_side(edit: Edit, width: int, height: int, size: tuple[int, int]) -> None:
    assert shape(edit, encoded(edit, image(edit, width, height), long_side=256)[1]) == size


@pytest.mark.slow
def test_the_largest_size(edit: Edit) -> None:
    """2048 x 2048: 16384 target tokens, as many of the source at scale 1 (here a quarter, for time)."""
    ours = encoded(edit, image(edit, 2048, 2048), source_scale=0.5)
    noise = edit.noise(1, size=(256, 256))
    models = [edit.apply(edit.model(), edit.relation(), **settings) for settings in ({}, POSITIONS_ONLY)]
    result, plain = edit.run(*[edit.sample(model, ours, noise=noise, steps=1) for model in models])
    assert result.shape == (1, 16, 256, 256)
    assert relative_error(result, plain) > 1e-3


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_grey_and_transparent_pictures(edit: Edit, channels: int) -> None:
    picture = image(edit, 64, 64, channels=channels)
    latent = edit.run(encoded(edit, picture)[1])
    assert latent.shape == (1, 16, 8, 8)
    if channels == 4:
        given = edit.host.store[f"value{edit._values - 1}"]
        flat = given[..., :3] * given[..., 3:] + 1 - given[..., 3:]
        assert relative_error(latent, edit.run(encoded(edit, edit.value(flat))[1])) < BOUND


def test_half_scale_takes_a_quarter_of_the_tokens_and_keeps_the_corners(edit: Edit) -> None:
    picture = image(edit, 192, 128)
    model = edit.apply(edit.model(), edit.relation())
    full, half = (encoded(edit, picture, source_scale=scale) for scale in (1.0, 0.5))
    whole, small = (positions(edit, model, given, given[1]) for given in (full, half))
    rows, columns = 8, 12
    target = rows * columns
    assert torch.equal(whole[:target], whole[target:])
    assert len(small) == target + target // 4
    assert torch.equal(small[:target], whole[:target])
    corners = [0, columns - 1, (rows - 1) * columns, rows * columns - 1]
    spread = small[target:].reshape(rows // 2, columns // 2, 3)
    found = torch.stack([spread[0, 0], spread[0, -1], spread[-1, 0], spread[-1, -1]])
    assert torch.equal(found, whole[corners])
    assert torch.allclose(spread[:, 0, 1], torch.linspace(0, rows - 1, rows // 2))
    assert torch.allclose(spread[0, :, 2], torch.linspace(0, columns - 1, columns // 2))


def test_the_result_of_half_scale_keeps_its_size(edit: Edit) -> None:
    full, half = (edit.run(encoded(edit, image(edit, 192, 128), source_scale=scale)[1]) for scale in (1.0, 0.5))
    assert torch.equal(full, half)


@pytest.mark.parametrize("grid", [(24, 16), (4, 6), (8, 40), (2, 2)])
def test_a_source_of_another_grid_is_spread_over_the_target(edit: Edit, grid: tuple[int, int]) -> None:
    """A second pass at another size: the source's corners stay at the target's."""
    model = edit.apply(edit.model(), edit.relation())
    latent = edit.latent(1, (16, 24))
    source = torch.zeros(1, 16, 2 * grid[0], 2 * grid[1])
    found = positions(edit, model, edit.with_source(edit.text(), source), latent)
    target, spread = found[: 8 * 12].reshape(8, 12, 3), found[8 * 12 :].reshape(*grid, 3)
    for row in (0, -1):
        for column in (0, -1):
            assert torch.equal(spread[row, column], target[row, column])


def test_a_kontext_reference_beside_the_source_keeps_its_own_positions(edit: Edit) -> None:
    reference = torch.rand(1, 16, 8, 12)
    picture = image(edit, 96, 64)
    model, latent = edit.apply(edit.model(), edit.relation()), edit.latent()
    plain = positions(edit, edit.model(), edit.with_source(encoded(edit, picture), reference), latent)
    for ours_first in (True, False):
        if ours_first:
            both = edit.with_source(encoded(edit, picture), reference)
        else:
            both = encoded(edit, picture, edit.with_source(edit.text(), reference))
        found = positions(edit, model, both, latent)
        target, first, second = found.split(24)
        ours, other = (first, second) if ours_first else (second, first)
        assert torch.equal(ours, target)
        assert torch.equal(other, plain[48:] if ours_first else plain[24:48])
        assert not torch.equal(other, target)


@pytest.mark.parametrize("negative", ["without a source", "with the source", "with the source first"])
@pytest.mark.parametrize("positive", ["the source", "the source behind another reference"])
def test_an_area_of_the_negative_prompt_is_a_positive_one_with_the_positive_source(
    edit: Edit, positive: str, negative: str
) -> None:
    """The host adds it to the positive prompt with what it says of the negative's references."""
    reference = edit.noise(3, 1, (6, 8))
    picture = edit.picture("source")
    first = edit.text() if positive == "the source" else edit.with_source(edit.text(), reference)
    prompt = encoded(edit, picture, first)[0]
    other = edit.text(1) if negative == "without a source" else encoded(edit, picture, edit.text(1))[0]
    other = edit.with_source(other, reference) if negative == "with the source first" else other

    def with_area(prompt: object) -> Node:
        area = {"width": 64, "height": 64, "x": 0, "y": 0, "strength": 1.0}
        part = edit.graph.add("ConditioningSetArea", conditioning=prompt, **area)
        return edit.graph.add("ConditioningCombine", conditioning_1=prompt, conditioning_2=part)

    samples: list[Node] = []
    for own in (prompt, with_area(prompt)):
        guider = edit.graph.add(
            "CFGGuider",
            model=edit.apply(edit.model(), edit.relation()),
            positive=own,
            negative=with_area(other),
            cfg=2.0,
        )
        samples.append(edit.sample(None, guider=guider))
    found, by_hand = edit.run(*samples)
    assert torch.equal(found, by_hand)


def test_a_mark_in_the_negative_prompt_says_nothing_about_the_positive_one(edit: Edit) -> None:
    positive, marked = edit.with_source(edit.text()), encoded(edit, edit.picture("source"), edit.text(1))[0]
    model, samples = edit.apply(edit.model(), edit.relation()), list[Node]()
    for negative in (marked, edit.text(1)):
        guider = edit.graph.add("CFGGuider", model=model, positive=positive, negative=negative, cfg=1.0)
        samples.append(edit.sample(None, guider=guider))
    found, expected = edit.run(*samples)
    assert torch.equal(found, expected)


def test_a_mark_in_the_negative_prompt_hides_no_batch_of_the_positive_one(edit: Edit) -> None:
    positive = edit.with_source(edit.text(), edit.noise(3, 3, (8, 12)))
    negative = encoded(edit, edit.picture("source"), edit.text(1))[0]
    model = edit.apply(edit.model(), edit.relation())
    guider = edit.graph.add("CFGGuider", model=model, positive=positive, negative=negative, cfg=1.0)
    with pytest.raises(GraphError, match="There are 3 source pictures and 1 latents"):
        edit.run(edit.sample(None, guider=guider))


@pytest.mark.parametrize("left", [0, 1])
def test_references_that_another_node_put_in_their_place_are_no_source(edit: Edit, left: int) -> None:
    reference = edit.noise(3, 1, (6, 8))
    text = edit.run(encoded(edit, edit.picture("source"), edit.with_source(edit.text(), reference)))
    text = [[tokens, {**values, "reference_latents": left * [reference]}] for tokens, values in text]
    plain, model = edit.model(), edit.apply(edit.model(), edit.relation())
    found, own = (positions(edit, one, edit.value(text), edit.latent()) for one in (model, plain))
    assert torch.equal(found, own)
    reused = edit.graph.add("RelationSourceReuse", model=model, refresh_every=4)
    fast, exact = edit.run(*[edit.sample(one, edit.value(text), steps=6) for one in (reused, model)])
    assert torch.equal(fast, exact)


def test_a_vae_of_another_model_is_named(edit: Edit) -> None:
    from comfy.taesd.taesd import TAESD
    from safetensors.torch import save_file

    file = edit.host.model_folder("vae") / "sd15.safetensors"
    save_file({k: v.contiguous() for k, v in TAESD(latent_channels=4).state_dict().items()}, file)
    vae = edit.graph.add("VAELoader", vae_name=file.name)
    with pytest.raises(GraphError, match=r"\(1, 4, 8, 8\).*16.*ae\.safetensors"):
        edit.run(
            edit.graph.add(
                "RelationSourceEncode",
                conditioning=edit.text(),
                vae=vae,
                image=image(edit, 64, 64),
                long_side=0,
                source_scale=1.0,
            )
        )
