"""What can be saved can be loaded, blended and sampled, through the nodes; what cannot is refused before."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from edits import Edit, relative_error
from safetensors import safe_open
from safetensors.torch import save_file

from comfyui_host.graph import Node
from comfyui_host.host import GraphError
from relation_core.relation.limits import MAX_PAIRS, MAX_TOKEN

BOUND, APART = 1e-5, 1e-3
NAMES = (f"limits_{number}" for number in itertools.count())


def folder(edit: Edit) -> Path:
    return edit.host.base / "output" / "relations"


def pictures(edit: Edit, count: int, seed: int) -> Node:
    """A batch of small pictures of noise."""
    noise = torch.rand(count, 16, 24, 3, generator=torch.Generator().manual_seed(seed))
    return edit.value(noise)


def of_pairs(edit: Edit, count: int, seed: int = 0, **more: Any) -> Node:
    return edit.relation(pictures(edit, count, seed), pictures(edit, count, seed + 1), **more)


def saved(edit: Edit, relation: Any) -> Path:
    """Save a relation by the node; give its file."""
    before = set(folder(edit).glob("*")) if folder(edit).exists() else set()
    graph = edit.graph.copy()
    graph.add("SaveRelation", relation=relation, filename_prefix=next(NAMES))
    edit.host.execute(graph)
    (file,) = set(folder(edit).glob("*")) - before
    return file


def loaded(edit: Edit, relation: Any) -> Node:
    """A relation that went through a file."""
    return load(edit, saved(edit, relation).name)


def load(edit: Edit, name: str) -> Node:
    edit.host.forget_file_lists()
    return edit.graph.add("LoadRelation", relation_adapter=edit.adapter(), relation_name=name)


def changed(edit: Edit, relation: Any, **tensors: torch.Tensor) -> str:
    """Save a relation, change what the file holds, and give its name."""
    file = saved(edit, relation)
    with safe_open(file, "pt") as stored:
        kept = {name: stored.get_tensor(name) for name in ("tokens", "weights", "thumbnails")}
        metadata = dict(stored.metadata())
    save_file({**kept, **tensors}, file, metadata)
    return file.name


def weighted(edit: Edit, relation: Any, *weights: float) -> Node:
    """A relation whose pairs have any weights, as a file brings them."""
    return edit.value(replace(edit.run(relation), pair_weights=weights))


def blend(edit: Edit, first: Any, second: Any, ratio: float, mode: str) -> Node:
    return edit.graph.add("BlendRelations", relation_1=first, relation_2=second, ratio=ratio, mode=mode)


def sampled(edit: Edit, *relations: Any) -> list[torch.Tensor]:
    model, text = edit.model(), edit.with_source(edit.text())
    return edit.run(*[edit.sample(edit.apply(model, relation), text, steps=2) for relation in relations])


def refused(edit: Edit, node: Any, kind: str) -> str:
    """Run a graph that must fail with our error, and leave no file."""
    before = set(folder(edit).glob("*")) if folder(edit).exists() else set()
    with pytest.raises(GraphError, match=rf"^\S*\.relation_core\.errors\.{kind}: ") as error:
        edit.run(node)
    assert (set(folder(edit).glob("*")) if folder(edit).exists() else set()) == before
    return str(error.value)


def test_as_many_pairs_as_may_be_go_through_every_node(edit: Edit) -> None:
    whole = of_pairs(edit, MAX_PAIRS)
    back = loaded(edit, whole)
    averaged = blend(edit, back, of_pairs(edit, MAX_PAIRS, seed=5), 0.25, "average")
    made, read, mixed, mixed_read = sampled(edit, whole, back, averaged, loaded(edit, averaged))
    assert torch.equal(made, read) and made.isfinite().all()
    assert relative_error(mixed_read, mixed) < BOUND < APART < relative_error(mixed, made)
    joined = blend(edit, of_pairs(edit, MAX_PAIRS - 1), of_pairs(edit, 1, seed=7), 0.5, "concat")
    assert edit.run(loaded(edit, joined)).pairs == MAX_PAIRS


@pytest.mark.parametrize("count", [MAX_PAIRS + 1, 2 * MAX_PAIRS, 130])
def test_more_pairs_are_refused_before_they_are_encoded_or_saved(edit: Edit, count: int) -> None:
    says = re.compile(rf"A relation of {count} exemplar pairs was asked for; expected 1 to {MAX_PAIRS}\. Choose fewer")
    full, rest = of_pairs(edit, MAX_PAIRS), count - MAX_PAIRS
    assert says.search(refused(edit, of_pairs(edit, count), "ExemplarError"))
    if rest <= MAX_PAIRS:
        assert says.search(refused(edit, of_pairs(edit, rest, seed=9, relation=full), "ExemplarError"))
        joined = blend(edit, full, of_pairs(edit, rest, seed=9), 0.5, "concat")
        assert says.search(refused(edit, joined, "ExemplarError"))


def test_a_relation_with_too_many_pairs_is_not_saved(edit: Edit) -> None:
    """However it came about: the file would be called damaged."""
    relation = edit.run(of_pairs(edit, 1))
    many = replace(
        relation,
        tokens=relation.tokens.repeat(MAX_PAIRS + 1, 1, 1),
        pair_weights=(1.0,) * (MAX_PAIRS + 1),
        thumbnails=relation.thumbnails.repeat(MAX_PAIRS + 1, 1, 1, 1),
    )
    assert not_saved(edit, many).startswith("The relation cannot be saved: its tokens are torch.float32 of shape (65,")


def not_saved(edit: Edit, relation: Any) -> str:
    """Try to save a relation; give what the user sees after the error's name."""
    before = set(folder(edit).glob("*")) if folder(edit).exists() else set()
    graph = edit.graph.copy()
    graph.add("SaveRelation", relation=edit.host.value(graph, "not saved", relation), filename_prefix=next(NAMES))
    with pytest.raises(GraphError, match=r"^\S*\.relation_core\.errors\.ExemplarError: ") as error:
        edit.host.execute(graph)
    assert (set(folder(edit).glob("*")) if folder(edit).exists() else set()) == before
    return str(error.value).partition(": ")[2]


@pytest.mark.parametrize(
    ("weights", "plain"),
    [
        ((1e-200, 1e200, 0.0), (0.0, 1.0, 0.0)),
        ((1e200, 1e-200, 1e200), (1.0, 0.0, 1.0)),
        ((1e200, 3e200, 1e200), (1.0, 3.0, 1.0)),
        ((1e-200, 3e-200, 0.0), (1.0, 3.0, 0.0)),
        ((1e-200, 1e-200, 1e-200), (1.0, 1.0, 1.0)),
        ((5e-324, 1.7e308, 1e-310), (0.0, 1.0, 0.0)),
    ],
)
def test_weights_of_any_size_mean_their_proportions(
    edit: Edit, weights: tuple[float, ...], plain: tuple[float, ...]
) -> None:
    relation = of_pairs(edit, 3)
    found, expected, even = sampled(
        edit, loaded(edit, weighted(edit, relation, *weights)), weighted(edit, relation, *plain), relation
    )
    assert relative_error(found, expected) < BOUND
    assert len(set(weights)) == 1 or relative_error(found, even) > APART


@pytest.mark.parametrize("mode", ["concat", "average"])
@pytest.mark.parametrize(
    ("first", "second"), [((1e-200, 1e200), (1e200, 1e-200)), ((1e200, 1e200), (1e200, 1e-200)), ((1e-200,) * 2,) * 2]
)
def test_blends_of_weights_of_any_size(
    edit: Edit, mode: str, first: tuple[float, float], second: tuple[float, float]
) -> None:
    """Divided by the largest weight, and with the smallest ones left out, they give the same."""
    largest = max(first + second)

    def plain(weights: tuple[float, float]) -> tuple[float, float]:
        one, other = (weight / largest if weight / largest > 1e-30 else 0.0 for weight in weights)
        return one, other

    one, two = of_pairs(edit, 2), of_pairs(edit, 2, seed=5)
    far = blend(edit, loaded(edit, weighted(edit, one, *first)), weighted(edit, two, *second), 0.3, mode)
    near = blend(edit, weighted(edit, one, *plain(first)), weighted(edit, two, *plain(second)), 0.3, mode)
    found, again, expected = sampled(edit, far, loaded(edit, far), near)
    assert relative_error(found, expected) < BOUND and relative_error(again, found) < BOUND


@pytest.mark.parametrize("size", [(1, 1), (64, 128), (200, 30), (1024, 1024)])
def test_pictures_of_other_sizes_are_joined_and_saved(edit: Edit, size: tuple[int, int]) -> None:
    other = load(edit, changed(edit, of_pairs(edit, 2), thumbnails=torch.full((2, *size, 3), 7, dtype=torch.uint8)))
    assert [picture.size for picture in edit.host.shown(edit.graph, other)] == [(size[1], size[0])] * 2
    added = of_pairs(edit, 1, seed=5, relation=other)
    joined = blend(edit, other, of_pairs(edit, 1, seed=5), 0.5, "concat")
    averaged = [blend(edit, other, of_pairs(edit, 2, seed=5), ratio, "average") for ratio in (0.3, 0.7)]
    parts = edit.run(*[loaded(edit, relation) for relation in (added, joined, *averaged)])
    assert [tuple(part.thumbnails.shape) for part in parts[:2]] == [(3, 128, 256, 3)] * 2
    assert [int(part.thumbnails[0, 64, 128, 0]) for part in parts[:2]] == [7, 7]  # still the picture, in the middle
    assert [tuple(part.thumbnails.shape) for part in parts[2:]] == [(2, *size, 3), (2, 128, 256, 3)]


@pytest.mark.parametrize("size", [(0, 0), (0, 8), (8, 0), (8, 1025)])
def test_pictures_that_are_none_are_neither_saved_nor_loaded(edit: Edit, size: tuple[int, int]) -> None:
    none = torch.zeros(1, *size, 3, dtype=torch.uint8)
    name = changed(edit, of_pairs(edit, 1), thumbnails=none)
    assert f"{name} is a damaged relation: its pictures are torch.uint8" in refused(
        edit, load(edit, name), "CheckpointError"
    )
    relation = replace(edit.run(of_pairs(edit, 1)), thumbnails=none)
    assert not_saved(edit, relation).startswith("The relation cannot be saved: its pictures are")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [3e38, -1e37, 1e20, 7e4])
def test_huge_tokens_are_neither_saved_nor_loaded(edit: Edit, value: float, dtype: torch.dtype) -> None:
    """The squares of 1e20 overflow: keys would be 0, without an error."""
    relation = edit.run(of_pairs(edit, 1))
    tokens = relation.tokens.to(dtype, copy=True)
    tokens[0, -1, -1] = value
    name = changed(edit, of_pairs(edit, 1), tokens=tokens)
    message = refused(edit, load(edit, name), "CheckpointError")
    assert re.search(
        rf"{name} is a damaged relation: its tokens reach .*; expected about 1, and at most 65504", message
    )
    assert "adapter" not in message.partition(name)[2]
    assert not_saved(edit, replace(relation, tokens=tokens)).startswith(
        "The relation cannot be saved: its tokens reach"
    )


def test_the_largest_tokens_that_are_loaded_are_sampled(edit: Edit) -> None:
    tokens = edit.run(of_pairs(edit, 1)).tokens.clone()
    tokens[0, -1, -1] = MAX_TOKEN
    (found,) = [sampled(edit, load(edit, changed(edit, of_pairs(edit, 1), tokens=tokens)))]
    assert torch.as_tensor(found).isfinite().all()
