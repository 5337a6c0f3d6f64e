"""Reuse of the source beside what other nodes do: to the stream, to keys and masks, to weights and to devices."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
import torch
from compositions import encoded, patched
from edits import Edit, relative_error
from reuse_oracle import PICTURE, counted, reused, tokens_of

from comfyui_host.graph import Node
from comfyui_host.host import GraphError, Host

FULL, TARGET = 2 * PICTURE, PICTURE


def _both(edit: Edit, model: Node, text: Any) -> list[torch.Tensor]:
    """A run with the source reused, and one without."""
    return edit.run(*[edit.sample(one, text, steps=9) for one in (reused(edit, model), model)])


@pytest.mark.parametrize("what", ["a reference is cut", "tokens are added"])
def test_a_stream_of_other_tokens_than_the_host_s_is_computed(edit: Edit, what: str) -> None:
    def change(args: dict[str, Any]) -> dict[str, Any]:
        img, ids = args["img"], args["img_ids"]
        if what == "tokens are added":
            return {**args, "img": torch.cat((img, img[:, :6]), 1), "img_ids": torch.cat((ids, ids[:, :6] + 5), 1)}
        kept = img.shape[1] - args["transformer_options"]["reference_image_num_tokens"][-1]
        return {**args, "img": img[:, :kept], "img_ids": ids[:, :kept]}

    model = edit.run(edit.model()).clone()
    model.set_model_post_input_patch(change)
    text = edit.with_source(encoded(edit, edit.picture("source"))[0], edit.noise(3, 1, (6, 8)))
    found, exact = _both(edit, edit.value(model), text)
    assert torch.equal(found, exact)


@pytest.mark.parametrize("place", ["before", "behind"])
def test_with_keys_that_another_node_adds_the_source_is_computed(edit: Edit, place: str) -> None:
    model = edit.run(edit.model()).clone()
    model.set_model_attn1_patch(_AddsKeys(place))
    found, exact = _both(edit, edit.value(model), edit.with_source(edit.text()))
    assert torch.equal(found, exact)


def test_keys_that_are_added_where_the_source_is_reused_are_refused(edit: Edit) -> None:
    model = edit.run(edit.model()).clone()
    model.set_model_attn1_patch(_AddsKeys("behind", below=0.9))
    with pytest.raises(GraphError, match=r"a block has 43 keys and a mask of 1 columns; expected 36 keys.*Remove that"):
        edit.run(edit.sample(reused(edit, edit.value(model)), edit.with_source(edit.text()), steps=9))


def test_a_mask_of_the_tokens_that_are_left_is_refused(edit: Edit) -> None:
    def mask(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **named: Any) -> dict[str, Any]:
        return {"attn_mask": torch.zeros(1, 1, q.shape[2], k.shape[2])}

    model = edit.run(edit.model()).clone()
    model.set_model_attn1_patch(mask)
    with pytest.raises(GraphError, match=r"a mask of 36 columns; expected 36 keys, and no mask or one of 60 columns"):
        edit.run(edit.sample(reused(edit, edit.value(model)), edit.with_source(edit.text()), steps=9))


class _AddsKeys:
    def __init__(self, place: str, below: float = 2.0) -> None:
        self.place, self.below = place, below

    def __call__(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pe: Any = None, attn_mask: Any = None, *,
        extra_options: dict[str, Any],
    ) -> dict[str, Any]:  # fmt: skip
        from comfy.ldm.flux.math import apply_rope

        if float(extra_options["sigmas"][0]) > self.below:
            return {}
        q, k = apply_rope(q, k, pe)
        more = torch.randn(2, 1, 1, 7, k.shape[-1], generator=torch.Generator().manual_seed(0))
        more = more.expand(-1, *k.shape[:2], -1, -1)
        k, v = (
            torch.cat((new, old) if self.place == "before" else (old, new), 2)
            for new, old in zip(more, (k, v), strict=True)
        )
        return {"q": q, "k": k, "v": v, "pe": None, "attn_mask": attn_mask}


def test_a_lora_that_a_keyframe_ends_changes_the_source(edit: Edit) -> None:
    frames = edit.graph.add("CreateHookKeyframe", strength_mult=1.0, start_percent=0.0)
    frames = edit.graph.add("CreateHookKeyframe", strength_mult=0.0, start_percent=0.3, prev_hook_kf=frames)
    lora = f"{edit.case}/pytorch_lora_weights.safetensors"
    hooks = edit.graph.add("CreateHookLoraModelOnly", lora_name=lora, strength_model=1.0)
    hooks = edit.graph.add("SetHookKeyframes", hooks=hooks, hook_kf=frames)
    text = edit.graph.add(
        "ConditioningSetProperties",
        cond_NEW=edit.with_source(edit.text()), hooks=hooks, strength=1.0, set_cond_area="default",
    )  # fmt: skip
    model = edit.graph.add("UNETLoader", unet_name=f"{edit.case}/transformer.safetensors", weight_dtype="default")
    changed = tokens_of(edit, reused(edit, model), text, steps=12)
    usual = tokens_of(edit, reused(edit, model), steps=12)
    assert [step for step, (now, then) in enumerate(zip(changed, usual, strict=True)) if now != then] == [3]
    assert changed[3] == FULL


def test_context_windows_are_known_by_their_pictures(host: Host) -> None:
    """The host's windows are made anew at every step, and may then lie where another lay in memory."""
    from comfy.context_windows import IndexListContextWindow

    of = host.module("nodes.source_reuse")._window
    windows = [IndexListContextWindow(chosen, dim=0, total_frames=4) for chosen in ([0, 1], [0, 1], [2, 3])]
    first, again, second = (of({"context_window": window}) for window in windows)
    assert first == again != second
    assert of({}) is None
    unknown = type("Window", (), {})()
    assert of({"context_window": unknown}) != of({"context_window": unknown})


def test_on_two_devices(edit: Edit) -> None:
    """As *MultiGPU CFG Split* does it: each device computes one of the prompts."""
    from comfy.controlnet import ControlBase

    if not hasattr(ControlBase, "deepclone_multigpu"):
        pytest.skip("This ComfyUI uses one device.")

    def run(model: Node, devices: int) -> tuple[torch.Tensor, list[int]]:
        patcher = edit.run(model).clone()
        if devices == 2:
            other = patcher.clone()
            other.is_multigpu_base_clone, other.load_device = True, torch.device("cpu", 1)
            patcher.set_additional_models("multigpu", [other])
        counting, tokens = counted(edit, edit.value(patcher))
        texts = {name: edit.with_source(edit.text(place)) for place, name in enumerate(("positive", "negative"))}
        guider = edit.graph.add("CFGGuider", model=counting, **texts, cfg=2.0)
        return edit.run(edit.sample(None, guider=guider, steps=7)), tokens

    one, batched = run(reused(edit, patched(edit)), 1)
    two, apart = run(reused(edit, patched(edit)), 2)
    assert relative_error(two, one) < 1e-5
    assert apart == [tokens for tokens in batched for _ in range(2)]
    assert TARGET in apart


def test_what_another_wrapper_makes_of_the_conditioning_is_kept(edit: Edit) -> None:
    """One that is called before the host loads the models, and gives other conditioning back."""
    model, empty = edit.run(reused(edit, patched(edit))).clone(), edit.text()

    def without_references(executor: Any, *args: Any, **named: Any) -> Any:
        real, conds, models = executor(*args, **named)
        keys = ("uuid", "cross_attn", "pooled_output", "guidance", "model_conds")
        kept = [{key: entry[key] for key in keys if key in entry} for entry in conds["positive"]]
        return real, {**conds, "positive": kept}, models

    model.add_wrapper_with_key("prepare_sampling", "stranger", without_references)
    text = edit.with_source(edit.text())
    found, exact = edit.run(edit.sample(edit.value(model), text), edit.sample(patched(edit), empty))
    assert torch.equal(found, exact)


def test_threads_of_two_devices_may_keep_at_once(host: Host) -> None:
    memory = host.module("relation_core.flux.source_reuse").SourceMemory(4, [1.0, 0.9, 0.5, 0.0])
    memory.evaluate(0.9)
    failed: list[Exception] = []

    def keep(device: int) -> None:
        try:
            for call in range(5000):
                memory.keep((device, call), [(device, call % 40)], {})
        except RuntimeError as error:
            failed.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=keep, args=(device,)) for device in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failed
