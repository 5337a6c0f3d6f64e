"""``evaluate run`` against real ComfyUI servers: each sample once, over crashes of either side."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from evaluation import (
    Client,
    all_results,
    evaluate,
    executed,
    filled,
    kill_server,
    light_template,
    make_dataset,
    results,
    run,
    samples,
    wait_until,
)
from light_server import LIGHT, changed, of_class, started, titled
from PIL import Image

from comfyui_host.find import PACK
from comfyui_host.server import ComfyServer
from scripts.workflow_to_api import workflow_to_api

PATIENCE = 240.0


@pytest.fixture(scope="module")
def server(light_server: ComfyServer) -> ComfyServer:
    return light_server


@pytest.fixture(scope="module")
def workflow(server: ComfyServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "workflow.json"
    path.write_text(json.dumps(light_template(server)))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("samples"), tasks=4, test_pairs=2)


@pytest.fixture(scope="module")
def finished(server: ComfyServer, workflow: Path, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation whose client was killed after its first, third and fifth result."""
    folder, log = tmp_path_factory.mktemp("run") / "out", tmp_path_factory.mktemp("run") / "log"
    for count in (1, 3, 5):
        client = Client(evaluate(file, folder, workflow, server), log)
        wait_until(lambda count=count: len(results(folder)) >= count, PATIENCE)
        client.kill()
        for name in results(folder):
            Image.open(folder / "results" / name).load()
    assert Client(evaluate(file, folder, workflow, server), log).finish(PATIENCE) == 0
    return folder


def test_every_sample_is_executed_once_over_kills_of_the_client(
    server: ComfyServer, file: Path, finished: Path
) -> None:
    assert results(finished) == all_results(file)
    assert len(executed(server)) == len(samples(file))


def test_a_result_is_what_the_workflow_makes_of_the_sample(
    server: ComfyServer, workflow: Path, file: Path, finished: Path
) -> None:
    template = json.loads(workflow.read_text())
    for index in (0, 5):
        sample = samples(file)[index]
        for key in ("cond1", "cond2", "source"):
            shutil.copy(file.parent / sample[key], server.base / "input" / f"{key}.png")
        outcome = server.run(filled(template, ("cond1.png", "cond2.png", "source.png"), sample["text"], 1000))
        expected = Image.open(outcome.pictures[titled(template, "Result")][0])
        assert np.array_equal(Image.open(finished / "results" / f"{index:06d}.png"), expected)
        (server.base / "input" / "cond1.png").unlink()


def test_running_again_does_nothing(server: ComfyServer, workflow: Path, file: Path, finished: Path) -> None:
    before = executed(server)
    said = run(*evaluate(file, finished, workflow, server)).stderr
    assert "8 of 8 samples have a result." in said
    assert executed(server) == before


def test_a_folder_belongs_to_one_evaluation(
    server: ComfyServer, workflow: Path, file: Path, finished: Path, tmp_path: Path
) -> None:
    done = run(*evaluate(file, finished, workflow, server, options=("--seed", 2)), status=1)
    assert "made with another seed" in done.stderr
    other = tmp_path / "other.json"
    other.write_text(json.dumps(changed(light_template(server), "RelationScheduler", steps=3)))
    assert "made with another workflow" in run(*evaluate(file, finished, other, server), status=1).stderr


def test_a_sample_that_fails_is_reported_and_tried_again_by_the_next_run(
    server: ComfyServer, workflow: Path, file: Path, tmp_path: Path
) -> None:
    shutil.copytree(file.parent, tmp_path / "dataset")
    copy = tmp_path / "dataset" / "test.jsonl"
    source = copy.parent / samples(copy)[1]["source"]  # sample 0 has it as its exemplar
    whole = source.read_bytes()
    source.write_bytes(b"no picture")  # half a picture is black to some versions of ComfyUI
    options = ("--attempts", 2, "--limit", 3)
    done = run(*evaluate(copy, tmp_path / "out", workflow, server, options=options), status=1)
    assert "1 of 3 samples have a result." in done.stderr
    assert "Sample 0 failed: " in done.stderr and "Sample 1 failed: " in done.stderr
    assert done.stderr.count(f"{source.name}") >= 2, done.stderr
    assert results(tmp_path / "out") == ["000002.png"]
    source.write_bytes(whole)
    before = len(executed(server))
    assert "3 of 3" in run(*evaluate(copy, tmp_path / "out", workflow, server, options=options)).stderr
    assert len(executed(server)) == before + 2


def test_a_workflow_that_fits_no_server_stops_the_run(server: ComfyServer, file: Path, tmp_path: Path) -> None:
    template = changed(light_template(server), "UNETLoader", unet_name="missing.safetensors")
    (tmp_path / "workflow.json").write_text(json.dumps(template))
    done = run(*evaluate(file, tmp_path / "out", tmp_path / "workflow.json", server), status=1)
    assert "refuses the workflow" in done.stderr and "missing.safetensors" in done.stderr
    assert results(tmp_path / "out") == []


def test_a_workflow_with_two_pictures_and_no_result_stops_the_run(
    server: ComfyServer, file: Path, tmp_path: Path
) -> None:
    template = light_template(server)
    template[titled(template, "Result")]["_meta"]["title"] = "Output"
    extra = {"class_type": "PreviewImage", "inputs": {"images": [titled(template, "Source"), 0]}}
    (tmp_path / "workflow.json").write_text(json.dumps({**template, "extra": extra}))
    done = run(*evaluate(file, tmp_path / "out", tmp_path / "workflow.json", server), status=1)
    assert "put out" in done.stderr and "title 'result'" in done.stderr


def test_a_server_that_is_away_is_given_up(workflow: Path, file: Path, tmp_path: Path, server: ComfyServer) -> None:
    arguments = ["evaluate", "run", file, tmp_path / "out", "--workflow", workflow, "--server", "127.0.0.1:9"]
    done = run(*arguments, "--give-up", 1, status=1)
    assert "8 samples are left, but no server answers any longer" in done.stderr


def test_kills_of_the_server_and_a_server_that_stays_away(
    workflow: Path, file: Path, tmp_path: Path, server: ComfyServer
) -> None:
    with started(tmp_path / "second", LIGHT) as second:
        client = Client(
            evaluate(file, tmp_path / "out", workflow, second, options=("--give-up", 200)), tmp_path / "log"
        )
        wait_until(lambda: len(results(tmp_path / "out")) >= 2, PATIENCE)
        kill_server(second)
        shutil.rmtree(tmp_path / "second" / "input")  # what was uploaded is gone, too
        second.__enter__()
        wait_until(lambda: len(results(tmp_path / "out")) >= 4, PATIENCE)
        client.kill()
        client = Client(
            evaluate(file, tmp_path / "out", workflow, second, server, options=("--give-up", 3)), tmp_path / "log"
        )
        wait_until(lambda: len(results(tmp_path / "out")) >= 5, PATIENCE)
        kill_server(second)
        assert client.finish(PATIENCE) == 0
    assert results(tmp_path / "out") == all_results(file)


def test_the_dataset_workflow_makes_the_same_of_a_sample(
    server: ComfyServer, workflow: Path, file: Path, finished: Path
) -> None:
    """The shipped workflow that runs a whole file, made as light as the template of the evaluation."""
    shutil.copytree(file.parent, server.base / "input" / "evaluated")
    shipped = json.loads((PACK / "workflows" / "relation_dataset.json").read_text(encoding="utf-8"))
    prompt = workflow_to_api(shipped, server.get("object_info"))
    template = json.loads(workflow.read_text())
    for kind in ("CLIPLoader", "RelationSourceEncode", "RelationScheduler"):
        light = template[of_class(template, kind)]["inputs"]
        inputs = {key: value for key, value in light.items() if not is_link(value)}
        node = of_class(prompt, "DualCLIPLoader" if kind == "CLIPLoader" else kind)
        kept = {key: value for key, value in prompt[node]["inputs"].items() if is_link(value)}
        prompt[node].update(class_type=kind, inputs={**kept, **inputs})
    for index in (0, 5):
        outcome = server.run(changed(prompt, "LoadRelationSample", dataset="evaluated/test.jsonl", index=index))
        result = np.asarray(Image.open(outcome.pictures[titled(prompt, "Result")][0]))
        assert np.array_equal(result, Image.open(finished / "results" / f"{index:06d}.png"))
        target = np.asarray(Image.open(outcome.pictures[titled(prompt, "Target")][0]))
        assert np.array_equal(target, Image.open(file.parent / samples(file)[index]["target"]))


def is_link(value: object) -> bool:
    return isinstance(value, list)


@pytest.mark.slow
def test_200_samples_over_kills_of_both_sides(workflow: Path, server: ComfyServer, tmp_path: Path) -> None:
    file = make_dataset(tmp_path, tasks=10, test_pairs=5)
    rng = random.Random(0)  # noqa: S311
    client_kills = server_kills = 0
    start = time.monotonic()
    with started(tmp_path / "second", LIGHT) as second:
        arguments = evaluate(file, tmp_path / "out", workflow, server, second, options=("--give-up", 300))
        client = Client(arguments, tmp_path / "log")
        while len(results(tmp_path / "out")) < 190:
            goal = len(results(tmp_path / "out")) + rng.randint(4, 16)
            wait_until(lambda goal=goal: len(results(tmp_path / "out")) >= goal, 2 * PATIENCE)
            if rng.random() < 0.6:
                client.kill()
                client_kills += 1
                client = Client(arguments, tmp_path / "log")
            else:
                kill_server(second)
                server_kills += 1
                second.__enter__()
        assert client.finish(2 * PATIENCE) == 0
        again = len(executed(server))
        assert "200 of 200" in run(*arguments).stderr
        assert len(executed(server)) == again
    assert results(tmp_path / "out") == all_results(file)
    seconds = time.monotonic() - start
    print(f"200 samples in {seconds:.0f} s; the client was killed {client_kills} times, a server {server_kills} times")
