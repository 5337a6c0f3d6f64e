"""Every shipped workflow, run in a real server.

Here CLIP-L alone encodes the prompt and pictures are small; the slow tests run the workflows with not a value changed.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from light_server import LONG_SIDE, Run, complaints, learning_little, light, of_class, titled, without_complaints
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file
from shipped import NAMES, PAIRS, SOURCES, TEMPLATES, furnished, prompt_of

from comfyui_host.server import ComfyServer, Prompt

FPS = 12
FINISHED: dict[str, Run] = {}
"""Runs of light workflows, by name: several tests look at each."""


@pytest.fixture(scope="module")
def server(light_server: ComfyServer) -> Iterator[ComfyServer]:
    with without_complaints(light_server):
        yield light_server
    FINISHED.clear()


@pytest.fixture(scope="module")
def whole_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server with T5-XXL in its real size: a minute or more for every prompt."""
    with furnished(tmp_path_factory.mktemp("templates"), threads=os.cpu_count() or 1) as server:
        yield server


def finished(server: ComfyServer, name: str) -> Run:
    """The workflow, made light and run."""
    if name not in FINISHED:
        FINISHED[name] = run = Run(server, light(prompt_of(server, name)))
        assert run.outcome.status == "success", run.outcome
    return FINISHED[name]


def api_node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def pictures(run: Run, title: str) -> list[np.ndarray]:
    return [np.array(Image.open(path)) for path in run.outcome.pictures[titled(run.prompt, title)]]


def rewired(prompt: Prompt, node: str, **inputs: Any) -> Prompt:
    """A copy of a prompt in which a node's inputs are others."""
    changed = {key: {**value, "inputs": dict(value["inputs"])} for key, value in prompt.items()}
    changed[node]["inputs"].update(inputs)
    return changed


@pytest.mark.parametrize("name", NAMES)
def test_it_ends_in_pictures(server: ComfyServer, name: str) -> None:
    run = finished(server, name)
    assert_pictures(run)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_as_it_is(whole_server: ComfyServer, name: str) -> None:
    """With not a value changed but the steps of learning: T5-XXL, 24 steps, 512 pixels."""
    run = Run(whole_server, learning_little(prompt_of(whole_server, name)))
    assert_pictures(run)
    if name == "relation_transfer":
        picture = run.picture()
        with Image.open(whole_server.base / "input" / "example.png") as source:
            sides = [round(512 * side / max(source.size)) // 16 * 16 for side in source.size]
        assert picture.shape == (sides[1], sides[0], 3)
        assert picture.std() > 5
    assert complaints(whole_server) == []


def assert_pictures(run: Run) -> None:
    """Every node that shows pictures shows some that are not of one colour."""
    assert run.outcome.status == "success", run.outcome
    shown = {node for node, kind in run.prompt.items() if kind["class_type"] in ("SaveImage", "PreviewImage")}
    assert shown <= run.outcome.pictures.keys()
    for picture in itertools.chain(*(run.outcome.pictures[node] for node in shown)):
        with Image.open(picture) as image:
            darkest, brightest = image.convert("L").getextrema()
            assert brightest > darkest, picture


def test_what_is_not_painted_is_the_source(server: ComfyServer, tmp_path: Path) -> None:
    """As it is nothing is painted; then the right half is, as the mask editor saves it."""
    source = np.array(Image.open(server.base / "input" / "example.png"))
    run = finished(server, "relation_pairs_mask")
    assert np.abs(pictures(run, "Result")[0].astype(int) - source).max() <= 1
    mask = np.full(source.shape[:2], 255, np.uint8)
    mask[:, 384:] = 0
    Image.fromarray(np.dstack([source, mask])).save(server.base / "input" / "painted.png")
    painted = Run(server, rewired(run.prompt, titled(run.prompt, "Source"), image="painted.png"))
    difference = np.abs(pictures(painted, "Result")[0].astype(int) - source).max(-1)
    assert difference[:, :370].max() <= 1
    assert (difference[:, 384:] > 5).mean() > 0.5


def test_both_pairs_count(server: ComfyServer) -> None:
    run = finished(server, "relation_pairs_mask")
    apply = run.prompt[of_class(run.prompt, "ApplyRelationAdapter")]["inputs"]["relation"][0]
    assert run.prompt[apply]["inputs"]["before"][0] == titled(run.prompt, "Before, second pair")
    first = run.prompt[run.prompt[apply]["inputs"]["relation"][0]]
    assert first["inputs"]["after"][0] == titled(run.prompt, "After, first pair")


def test_a_saved_relation_makes_the_picture_that_its_pair_makes(server: ComfyServer) -> None:
    reused, direct = finished(server, "relation_reuse"), finished(server, "relation_transfer")
    assert np.array_equal(pictures(reused, "Result")[0], pictures(direct, "Result")[0])


def test_one_node_makes_the_picture_that_the_open_workflow_makes(server: ComfyServer) -> None:
    simple, opened = finished(server, "relation_transfer_simple"), finished(server, "relation_transfer")
    for title in ("Result", "Comparison"):
        assert np.array_equal(pictures(simple, title)[0], pictures(opened, title)[0])


def test_the_controlnet_reaches_the_result(server: ComfyServer) -> None:
    run = finished(server, "relation_controlnet")
    plain = pictures(finished(server, "relation_transfer"), "Result")[0]
    assert np.abs(pictures(run, "Result")[0].astype(int) - plain).mean() > 1
    assert pictures(run, "Edges")[0].max() == 255
    off = Run(server, rewired(run.prompt, of_class(run.prompt, "ControlNetApplyAdvanced"), strength=0.0))
    assert np.array_equal(pictures(off, "Result")[0], plain)


def test_the_second_pass_doubles_the_size_and_has_the_relation(server: ComfyServer) -> None:
    run = finished(server, "relation_upscale")
    (first,), (second,) = pictures(run, "First pass"), pictures(run, "Result")
    assert np.array_equal(first, pictures(finished(server, "relation_transfer"), "Result")[0])
    assert second.shape == (2 * first.shape[0], 2 * first.shape[1], 3)
    sampler, guider = titled(run.prompt, "Sampler, second pass"), of_class(run.prompt, "BasicGuider")
    assert run.prompt[sampler]["inputs"]["guider"] == [guider, 0]


def test_every_picture_of_the_folder_gets_the_edit(server: ComfyServer) -> None:
    run = finished(server, "relation_folder")
    results, comparisons = pictures(run, "Results"), pictures(run, "Comparisons")
    sizes = sorted((picture.shape[1], picture.shape[0]) for picture in results)
    assert sizes == [(80, LONG_SIDE), (LONG_SIDE, 64)]  # sides cut to multiples of 16
    assert len(comparisons) == len(SOURCES)
    assert all(path.parent.name == "relation_folder" for path in run.outcome.pictures[titled(run.prompt, "Results")])
    encoder = run.prompt[of_class(run.prompt, "RelationExemplarEncode")]["inputs"]
    exemplars = [encoder["before"][0], encoder["after"][0]]
    assert exemplars == [titled(run.prompt, "Before"), titled(run.prompt, "After")]  # and not the folder's pictures


def test_a_video_is_edited_frame_by_frame(server: ComfyServer) -> None:
    """With the nodes that the folder's note names."""
    import av

    with av.open(server.base / "input" / "clip.mp4", "w") as clip:
        stream = clip.add_stream("libx264", rate=FPS, width=64, height=48, pix_fmt="yuv420p")
        for red in (30, 220):
            frame = np.full((48, 64, 3), (red, 90, 60), np.uint8)
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        clip.mux(stream.encode())
    prompt = light(prompt_of(server, "relation_folder"))
    decoded = prompt[titled(prompt, "Results")]["inputs"]["images"]
    prompt[titled(prompt, "Sources")] = api_node("RebatchImages", images=["parts", 0], batch_size=1)
    prompt |= {
        "video": api_node("LoadVideo", file="clip.mp4"),
        "parts": api_node("GetVideoComponents", video=["video", 0]),
        "frames": api_node("RebatchImages", images=decoded, batch_size=4096),
        "made": api_node("CreateVideo", images=["frames", 0], fps=["parts", 2]),
        "saved": api_node("SaveVideo", video=["made", 0], filename_prefix="clip", format="auto", codec="auto"),
    }
    run = Run(server, prompt)
    assert run.outcome.status == "success", run.outcome
    with av.open(run.outcome.pictures["saved"][0]) as video:
        assert video.streams.video[0].average_rate == FPS
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in video.decode(video=0)]
    first, second = pictures(run, "Results")
    assert [frame.shape for frame in frames] == [first.shape, second.shape] == [(96, LONG_SIDE, 3)] * 2
    own, others = (np.abs(frames[0] - picture).mean() for picture in (first, second))
    assert own < others


def test_the_pairs_of_a_folder_are_learned_saved_and_applied(server: ComfyServer) -> None:
    """The folder's pictures show a picture beside its inverse."""
    run = finished(server, "tune_relation")
    saved = sorted((server.base / "output" / "relations").glob("my_edit_*.safetensors"))[-1]
    with safe_open(saved, framework="np") as file:
        (origin,) = json.loads(file.metadata()["learned"])
    assert (origin["pairs"], origin["model"]) == (PAIRS, "flux1-dev.safetensors")
    assert origin["prompt"] == run.prompt[titled(run.prompt, "Prompt")]["inputs"]["text"]
    (shown,) = load_file(saved)["thumbnails"].astype(int)  # pairs in a grid of two by two
    for top, left in ((0, 0), (0, 128), (64, 0)):
        before, after = (shown[top : top + 64, start : start + 64] for start in (left, left + 64))
        assert np.abs(before + after - 255).mean() < 6
        assert before.std() > 20
    again = Run(server, run.prompt)  # another workflow may have been run in between
    other = Run(server, rewired(run.prompt, titled(run.prompt, "Source"), image="cat_before.jpg"))
    assert again.outcome.status == other.outcome.status == "success", other.outcome
    assert not {"TuneRelation", "SaveRelation"} & set(other.executed)  # nothing is learned anew
    assert np.array_equal(pictures(run, "Result")[0], pictures(again, "Result")[0])
    assert not np.array_equal(pictures(run, "Result")[0], pictures(other, "Result")[0])
    applied = run.prompt[of_class(run.prompt, "ApplyRelationAdapter")]["inputs"]
    assert applied["relation"] == [of_class(run.prompt, "TuneRelation"), 0]
    without = rewired(run.prompt, of_class(run.prompt, "ApplyRelationAdapter"), strength=0.0)
    assert np.abs(pictures(run, "Result")[0].astype(int) - pictures(Run(server, without), "Result")[0]).mean() > 0.5


def test_a_new_landscape_is_edited_by_what_was_learned(server: ComfyServer) -> None:
    prompt = finished(server, "try_it_small_tune").prompt
    run = Run(server, prompt)  # again: ComfyUI keeps what the last prompt computed, and no more
    other = Run(server, rewired(prompt, titled(prompt, "A new landscape"), source_scene=101))
    assert "SamplerCustomAdvanced" in other.executed and "TuneRelation" not in other.executed
    assert not np.array_equal(pictures(run, "Result")[0], pictures(other, "Result")[0])


def test_eight_bits_come_near_sixteen(server: ComfyServer) -> None:
    """With the weights of the 16-bit model rounded to 8 bits, the picture is another only by the rounding."""
    run = finished(server, "relation_fp8")
    loader = of_class(run.prompt, "UNETLoader")
    assert run.prompt[loader]["inputs"]["weight_dtype"] == "fp8_e4m3fn"
    exact = Run(server, rewired(run.prompt, loader, unet_name="flux1-dev.safetensors", weight_dtype="default"))
    rounded = Run(server, rewired(run.prompt, loader, unet_name="flux1-dev.safetensors"))
    other = pictures(run, "Result")[0].astype(int)
    picture = pictures(exact, "Result")[0].astype(int)
    assert 0 < np.abs(pictures(rounded, "Result")[0] - picture).mean() < 0.5 * np.abs(other - picture).mean()


def test_the_host_serves_workflows_and_thumbnails(server: ComfyServer) -> None:
    """It looks into folders of other names too, such as ``examples``, and serves the first that is there."""
    assert sorted(server.get("workflow_templates")["relation_adapter"]) == NAMES
    for path in (*TEMPLATES, *(template.with_suffix(".jpg") for template in TEMPLATES)):
        answer = requests.get(
            f"http://{server.address}/api/workflow_templates/relation_adapter/{path.name}", timeout=60
        )
        assert answer.content == path.read_bytes(), f"{path.name}: {answer.status_code}"
