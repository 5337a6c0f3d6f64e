"""Learning a relation in ComfyUI: the right gradients through the host's Flux, and nothing left changed."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from edits import Edit, relative_error
from left_behind import allocated, changes, held, state_of
from tuned import Tuning
from tuning_gradients import attended_of, gradient_of, predicting

from benchmarks.landscape_edits import NEW_KINDS, pairs_to_learn
from comfyui_host.host import GraphError, Host
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, VISION
from relation_core.tuning.flow import LatentPair
from relation_core.tuning.learner import Learner
from relation_core.tuning.pairs import start_relation
from relation_core.tuning.settings import TuningSettings
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_what_is_learned_through_is_what_samples(host: Host, strength: float) -> None:
    """The host's Flux with a LoRA, our source and a relation: as the golden edit with Apply RelationAdapter."""
    edit = Edit(host)
    edit.meta["scale"] = 1.0
    model = edit.lora(edit.model("one_head/transformer.safetensors"), strength)
    shown = edit.relation()
    sampled, relation = edit.run(edit.sample(edit.apply(model, shown), edit.with_source(edit.text())), shown)
    source, noise = edit.tensors["source_latent"], edit.noise()
    with predicting(edit, model, edit.text(), source) as predict:
        flow = host.module("relation_core.tuning.flow")
        drawn = flow.draw_edit(predict, source, noise, int(edit.meta["steps"]), attended_of(edit, relation))
        found = predict.patcher.model.process_latent_out(drawn)
    assert relative_error(found, sampled) < 1e-5


@pytest.mark.parametrize("case", ["one_head", "two_heads"])
def test_gradients_are_those_of_finite_differences(host: Host, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held, computed again by block, and with weights that are brought in: the same, and right."""
    edit = Edit(host, case)
    relation, source = edit.run(edit.relation()), edit.tensors["source_latent"]
    found: list[list[torch.Tensor]] = []
    for large, copied in ((False, False), (True, False), (True, True)):
        monkeypatch.setattr(host.module("nodes.tuning_patch"), "_LARGE", 1 if large else 10**12)
        with predicting(edit, edit.model(), edit.text(), source) as predict:
            predict.frozen.copy_cast = copied
            found.append(gradient_of(edit, predict, relation)[1])
            if not found[1:]:
                norm = torch.cat([part.flatten() for part in found[0]]).norm()
                step = [1e-2 * part / norm for part in found[0]]
                above, below = (
                    gradient_of(edit, predict, relation, [sign * part for part in step])[0] for sign in (1, -1)
                )
                assert (above - below) / 2e-2 == pytest.approx(float(norm), rel=2e-3)
    for other in found[1:]:
        assert max(relative_error(one, two) for one, two in zip(other, found[0], strict=True)) < 1e-5


def test_nodes_and_the_headless_engine_learn_one_relation(host: Host) -> None:
    tuning = Tuning(host, pairs=3)
    found = tuning.run(tuning.tuned(steps=6, batch_size=4))
    pipeline = RelationPipeline(load_models(ModelFiles(FLUX, ADAPTER, VISION, AUTOENCODER), torch.float32), "cpu")
    pairs = pairs_to_learn("sepia_unseen", 3)
    start = start_relation(pipeline.relation(pairs, [1.0] * 3))
    learner = Learner(
        pipeline.predict(pipeline.prompt(""), 3.5),
        pipeline.adapter.weights(),
        pipeline.adapter.config,
        start.tokens,
        None,
        [LatentPair(*(pipeline.latent(picture, 0) for picture in pair)) for pair in pairs],
        [],
        TuningSettings(steps=6, batch_size=4),
        "cpu",
        torch.float32,
    )
    while not learner.done:
        learner.take_step()
    assert float((found.tokens - learner.tokens).abs().max()) < 1e-3
    assert float((found.tokens - start.tokens).abs().max()) > 0.1
    assert found.learned[0].pairs == 3 and found.learned[0].steps == 6
    again = tuning.run(tuning.tuned(steps=6, batch_size=4, model=tuning.value(tuning.run(tuning.plain))))
    assert torch.equal(found.tokens, again.tokens)


def test_it_learns_an_edit_that_the_model_never_saw(host: Host) -> None:
    tuning = Tuning(host, "posterise")
    tuned = tuning.tuned(steps=24)
    encoded = tuning.relation(tuned_value(tuning, 0), tuned_value(tuning, 1), relation_adapter=tuning.small_adapter)
    assert tuning.right(encoded, 4) == 0.0
    assert tuning.right(tuned, 4) == 1.0


def tuned_value(tuning: Tuning, place: int) -> Any:
    return tuning.value((tuning.before, tuning.after)[place])


@pytest.mark.slow
def test_it_learns_edits_that_the_model_never_saw(host: Host) -> None:
    right: dict[str, float] = {}
    for edit in ("sepia_unseen", *NEW_KINDS):
        tuning = Tuning(host, edit)
        right[edit] = tuning.right(tuning.tuned(steps=400, batch_size=16))
    assert sum(right.values()) / len(right) >= 0.75, right


@pytest.mark.parametrize("end", ["success", "error", "interrupt"])
@pytest.mark.parametrize("large", [False, True])
def test_model_and_server_are_as_before(host: Host, monkeypatch: pytest.MonkeyPatch, end: str, large: bool) -> None:
    import comfy.model_management

    tuning = Tuning(host)
    model = tuning.run(tuning.plain)
    tuning.run(tuning.sampled(tuning.value(model), tuning.source[0]))  # loaded, as by any sampling
    before = state_of(model)
    monkeypatch.setattr(host.module("nodes.tuning_patch"), "_LARGE", 1 if large else 10**12)
    learner = host.module("relation_core.tuning.learner").Learner
    take_step = learner.take_step

    def interrupted(self: Any) -> float:
        if self.step == (2 if large else 0):
            comfy.model_management.interrupt_current_processing(True)
        return take_step(self)

    def diverged(self: Any) -> float:
        if self.step == 3:
            self._tokens.data.fill_(math.nan)
        return take_step(self)

    if end != "success":
        monkeypatch.setattr(learner, "take_step", interrupted if end == "interrupt" else diverged)
    node = tuning.tuned(model=tuning.value(model), steps=5)
    if end == "success":
        assert tuning.run(node).pairs == 1
    else:
        with pytest.raises(GraphError, match="The loss of step 4 is nan" if end == "error" else "interrupted"):
            tuning.run(node)
    assert changes(before, state_of(model)) == []


def test_a_lora_is_learned_with_and_left_in_place(host: Host) -> None:
    edit = Edit(host)
    results: list[torch.Tensor] = []
    for strength in (0.0, 1.0):
        model = edit.run(edit.lora(edit.model("one_head/transformer.safetensors"), strength))
        patches = {name: len(found) for name, found in model.patches.items()}
        node = golden_node(edit, model=edit.value(model))
        results.append(edit.run(node).tokens)
        assert {name: len(found) for name, found in model.patches.items()} == patches
    assert not torch.equal(*results)


def resized(edit: Edit, name: str) -> Any:
    picture, size = edit.picture(name), {"width": 64, "height": 64}
    return edit.graph.add("ImageScale", image=picture, upscale_method="area", crop="disabled", **size)


def golden_node(edit: Edit, **inputs: Any) -> Any:
    """Learning with the golden models."""
    vae = edit.graph.add("VAELoader", vae_name="small.safetensors")
    defaults: dict[str, Any] = {
        "vae": vae,
        "relation_adapter": edit.adapter(),
        "conditioning": edit.text(),
        "before": resized(edit, "before"),
        "after": resized(edit, "after"),
        "steps": 2,
        "learning_rate": 0.15,
        "seed": 0,
        "long_side": 64,
        "batch_size": 2,
    }
    return edit.graph.add("TuneRelation", **{**defaults, **inputs})


def test_weights_in_fp8_are_learned_through(host: Host) -> None:
    """What eight steps change of the tokens is what they change through weights that are not rounded."""
    edit = Edit(host)
    start = edit.run(edit.relation(resized(edit, "before"), resized(edit, "after"))).tokens
    exact, rounded = (
        edit.run(golden_node(edit, model=edit.model("one_head/transformer.safetensors", dtype), steps=8)).tokens - start
        for dtype in ("default", "fp8_e4m3fn")
    )
    assert not torch.equal(rounded, exact)
    assert torch.cosine_similarity(rounded.flatten(), exact.flatten(), 0) > 0.9


def test_it_starts_from_a_relation_and_says_where_it_comes_from(host: Host) -> None:
    edit = Edit(host)
    pair = [edit.graph.add("RepeatImageBatch", image=edit.picture(name), amount=2) for name in ("before", "after")]
    start = edit.relation(*pair)
    node = golden_node(edit, model=edit.model(), relation=start, learning_rate=0.0001, steps=1)
    began, learned = edit.run(start, node)
    assert learned.pairs == 2
    assert 0.0 < relative_error(learned.tokens, began.tokens) < 1e-3
    (origin,) = learned.learned
    assert (origin.pairs, origin.steps, origin.model) == (1, 1, "one_head/transformer.safetensors")


def test_pictures_of_any_kind_are_learned_from(host: Host) -> None:
    """Grey ones and those with alpha as the RGB that they show, and single pixels."""
    tuning = Tuning(host, pairs=1)

    def learned(before: torch.Tensor, after: torch.Tensor, **inputs: Any) -> torch.Tensor:
        pictures = {"before": tuning.value(before), "after": tuning.value(after)}
        return tuning.run(tuning.tuned(**{"steps": 1, "batch_size": 1, **pictures, **inputs})).tokens

    grey, seen = tuning.before[..., :1], tuning.after.lerp(torch.ones(()), 0.25)
    veiled = torch.cat([tuning.after, torch.full_like(grey, 0.75)], -1)
    shown = learned(grey.expand(-1, -1, -1, 3), seen)
    torch.testing.assert_close(learned(grey, veiled), shown, atol=1e-5, rtol=0)
    speck = learned(tuning.before[:, :1, :1], 1.0 - tuning.before[:, :1, :1], long_side=16)
    assert bool(speck.isfinite().all()) and not torch.equal(speck, shown)


@pytest.mark.slow
def test_more_pairs_than_a_relation_holds_are_learned_from(host: Host) -> None:
    tuning = Tuning(host, pairs=65)
    learned = tuning.run(tuning.tuned(steps=1))
    assert learned.pairs == 1 and learned.learned[0].pairs == 65


def test_pictures_show_how_far_it_is(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.utils

    seen: list[tuple[int, Any]] = []
    monkeypatch.setattr(host.module("nodes.tuning_run"), "_PREVIEW_EVERY", 2)
    hook = comfy.utils.PROGRESS_BAR_HOOK
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, preview, node_id=None: seen.append((value, preview)) if total == 5 else None
    )
    try:
        tuning = Tuning(host)
        tuning.run(tuning.tuned(steps=5))
    finally:
        comfy.utils.set_progress_bar_global_hook(hook)
    pictures = {value: preview[1] for value, preview in seen if preview is not None}
    assert list(pictures) == [2, 4]
    assert all(picture.size == (128, 128) for picture in pictures.values())


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_learnings_in_a_row_leave_nothing_behind(host: Host, times: int) -> None:
    tuning = Tuning(host, pairs=1)
    model = tuning.run(tuning.plain)
    tuning.run(tuning.sampled(tuning.value(model), tuning.source[0]))  # loaded, as by any sampling
    before = state_of(model)
    node = tuning.tuned(model=tuning.value(model), steps=1, batch_size=1)
    counts: list[Counter[str]] = []
    taken: list[int] = []
    for seed in range(times):
        tuning.graph.nodes[node.name]["inputs"]["seed"] = seed  # in one node, whose last result is all the host keeps
        tuning.run(node)
        assert changes(before, state_of(model)) == []
        counts.append(held())
        taken.append(allocated())
    assert counts[1:] == counts[:-1]
    assert taken[-1] - taken[1] < 20_000 * (times - 2), taken
