"""Several exemplar pairs, their weights, blends, and two nodes in a row."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
from edits import GOLDEN, Edit, relative_error

from comfyui_host.graph import Node
from comfyui_host.host import GraphError

BOUND = 1e-5
APART = 1e-3


def pairs(edit: Edit) -> list[dict[str, Node]]:
    """Three exemplar pairs of six different pictures, the last two pairs of one size."""
    before, after, source = (edit.picture(name) for name in ("before", "after", "source"))
    squares = [
        edit.graph.add("ImageScale", image=picture, upscale_method="bilinear", width=80, height=80, crop="disabled")
        for picture in (before, after)
    ]
    small = edit.graph.add("ImageScale", image=source, upscale_method="area", width=80, height=80, crop="disabled")
    return [
        {"before": before, "after": after},
        {"before": edit.graph.add("ImageInvert", image=squares[0]), "after": small},
        {
            "before": edit.graph.add("ImageInvert", image=small),
            "after": edit.graph.add("ImageInvert", image=squares[1]),
        },
    ]


def chained(edit: Edit, *weighted: tuple[int, float]) -> Node:
    adapter, relation = edit.adapter(), None
    for index, weight in weighted:
        more = {} if relation is None else {"relation": relation}
        relation = edit.relation(**pairs(edit)[index], relation_adapter=adapter, weight=weight, **more)
    assert relation is not None
    return relation


def results(edit: Edit, *relations: Any, **settings: Any) -> list[torch.Tensor]:
    model, text = edit.model(), edit.with_source(edit.text())
    return edit.run(*[edit.sample(edit.apply(model, relation, **settings), text) for relation in relations])


def test_every_pair_changes_the_result(edit: Edit) -> None:
    one, two, three = results(edit, *[chained(edit, *[(i, 1.0) for i in range(n)]) for n in (1, 2, 3)])
    assert relative_error(two, one) > APART
    assert relative_error(three, two) > APART


def test_a_batch_of_pairs_equals_chained_ones(edit: Edit) -> None:
    same_size = pairs(edit)[1:]
    batch = {
        side: edit.graph.add("ImageBatch", image1=same_size[0][side], image2=same_size[1][side])
        for side in ("before", "after")
    }
    adapter = edit.adapter()
    first = edit.relation(**same_size[0], relation_adapter=adapter)
    second = edit.relation(**same_size[1], relation_adapter=adapter, relation=first)
    found, expected, single = results(edit, edit.relation(**batch, relation_adapter=adapter), second, first)
    assert relative_error(found, expected) < BOUND
    assert relative_error(found, single) > APART


def test_weight_zero_equals_leaving_the_pair_out(edit: Edit) -> None:
    found, expected = results(edit, chained(edit, (0, 1.0), (1, 0.0), (2, 0.7)), chained(edit, (0, 1.0), (2, 0.7)))
    assert relative_error(found, expected) < BOUND


def test_no_pair_with_weight_leaves_the_model_as_it_was(edit: Edit) -> None:
    model, text = edit.model(), edit.with_source(edit.text())
    nothing = edit.apply(model, chained(edit, (0, 0.0), (1, 0.0)))
    found, plain = edit.run(edit.sample(nothing, text), edit.sample(model, text))
    assert torch.equal(found, plain)


def test_a_pair_given_twice_equals_it_once(edit: Edit) -> None:
    found, expected = results(edit, chained(edit, (0, 1.0), (0, 1.0)), chained(edit, (0, 1.0)))
    assert relative_error(found, expected) < BOUND


def test_a_pair_of_weight_two_equals_it_twice(edit: Edit) -> None:
    found, expected = results(edit, chained(edit, (0, 2.0), (1, 1.0)), chained(edit, (0, 1.0), (0, 1.0), (1, 1.0)))
    assert relative_error(found, expected) < BOUND


def test_swapping_before_and_after_changes_nothing(edit: Edit) -> None:
    """Exemplar tokens carry no sign of which picture they are of: the prompt alone says which way the edit goes."""
    before, after = edit.picture("before"), edit.picture("after")
    found, expected = results(edit, edit.relation(before, after), edit.relation(after, before))
    assert relative_error(found, expected) < BOUND


def test_order_does_not_matter(edit: Edit) -> None:
    found, expected = results(
        edit, chained(edit, (0, 1.0), (1, 0.3), (2, 2.0)), chained(edit, (2, 2.0), (0, 1.0), (1, 0.3))
    )
    assert relative_error(found, expected) < BOUND


def test_only_the_weights_proportion_matters(edit: Edit) -> None:
    found, expected, other = results(
        edit, chained(edit, (0, 0.2), (1, 0.6)), chained(edit, (0, 1.0), (1, 3.0)), chained(edit, (0, 1.0), (1, 1.0))
    )
    assert relative_error(found, expected) < BOUND
    assert relative_error(found, other) > APART


@pytest.mark.parametrize("mode", ["average", "concat"])
def test_a_blend_at_its_ends_equals_its_inputs(edit: Edit, mode: str) -> None:
    first, second = chained(edit, (0, 1.0), (2, 0.4)), chained(edit, (1, 1.0), (2, 1.5))
    blends = [
        edit.graph.add("BlendRelations", relation_1=first, relation_2=second, ratio=ratio, mode=mode)
        for ratio in (0.0, 1.0, 0.5)
    ]
    start, end, middle, one, two = results(edit, *blends, first, second)
    assert relative_error(start, one) < BOUND
    assert relative_error(end, two) < BOUND
    assert relative_error(middle, one) > APART
    assert relative_error(middle, two) > APART


def test_concat_weighs_the_pairs_of_both(edit: Edit) -> None:
    first, second = chained(edit, (0, 1.0)), chained(edit, (1, 1.0))
    blend = edit.graph.add("BlendRelations", relation_1=first, relation_2=second, ratio=0.3, mode="concat")
    found, expected = results(edit, blend, chained(edit, (0, 0.7), (1, 0.3)))
    assert relative_error(found, expected) < BOUND


def test_average_is_the_relation_of_the_mixed_tokens(edit: Edit) -> None:
    first, second = chained(edit, (0, 1.0)), chained(edit, (1, 1.0))
    blend = edit.graph.add("BlendRelations", relation_1=first, relation_2=second, ratio=0.3, mode="average")
    a, b, mixed, loaded = edit.run(first, second, blend, edit.adapter())
    tokens = 0.7 * a.tokens + 0.3 * b.tokens
    assert relative_error(mixed.tokens, tokens) < BOUND
    weights = loaded.adapter.weights()
    for block in range(5):
        raw = tokens[0] @ weights[f"ip_adapter.{block}.to_k_ip.weight"].read().float().T
        keys = raw / (raw.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        assert relative_error(mixed.keys_values.keys[block, 0], keys) < BOUND
        values = tokens[0] @ weights[f"ip_adapter.{block}.to_v_ip.weight"].read().float().T
        assert relative_error(mixed.keys_values.values[block, 0], values) < BOUND


def test_averaging_needs_as_many_pairs(edit: Edit) -> None:
    first, second = chained(edit, (0, 1.0)), chained(edit, (1, 1.0), (2, 1.0))
    with pytest.raises(GraphError, match=r"relation_1 has 1 .* relation_2 has 2.*concat"):
        edit.run(edit.graph.add("BlendRelations", relation_1=first, relation_2=second, ratio=0.5, mode="average"))


def other_adapter(edit: Edit) -> str:
    """Another adapter of the same sizes: the same file with its values turned round."""
    folder = edit.host.model_folder("relation_adapter") / "other"
    if not folder.exists():
        folder.mkdir()
        content = torch.load(GOLDEN / "one_head" / "ip_adapter.bin", weights_only=True)
        for group in content.values():
            for name, tensor in group.items():
                group[name] = tensor.flip(0).contiguous()
        torch.save(content, folder / "ip_adapter.bin")
        shutil.copy(GOLDEN / "one_head" / "vision" / "config.json", folder)
    return "other/ip_adapter.bin"


def relation_of_other(edit: Edit) -> Node:
    adapter = edit.graph.add(
        "LoadRelationAdapter", adapter_name=other_adapter(edit), vision_name="one_head/model.safetensors"
    )
    return edit.relation(relation_adapter=adapter)


@pytest.mark.parametrize("kind", ["double", "single"])
def test_two_nodes_in_a_row_add_up(edit: Edit, kind: str) -> None:
    def first_block(*applied: tuple[Node, float]) -> torch.Tensor:
        model = edit.model()
        strengths = {"double_strength": 1.0, "single_strength": 1.0}
        strengths[{"double": "single", "single": "double"}[kind] + "_strength"] = 0.0
        for relation, strength in applied:
            model = edit.apply(model, relation, strength=strength, **strengths)
        return edit.attention(model, edit.with_source(edit.text()))[(kind, 0)][0]

    one, two, three = chained(edit, (0, 1.0)), chained(edit, (1, 1.0)), relation_of_other(edit)
    base = first_block((one, 1e-30))
    parts = [first_block((relation, s)) - base for relation, s in ((one, 1.0), (two, -0.5), (three, 0.8))]
    together = first_block((one, 1.0), (two, -0.5), (three, 0.8)) - base
    assert relative_error(together, sum(parts)) < BOUND
    assert all(part.abs().max() > APART for part in parts)


def test_two_halves_make_a_whole(edit: Edit) -> None:
    relation, model, text = chained(edit, (0, 1.0)), edit.model(), edit.with_source(edit.text())
    twice = edit.apply(edit.apply(model, relation, strength=0.5), relation, strength=0.5)
    found, expected = edit.run(edit.sample(twice, text), edit.sample(edit.apply(model, relation, strength=1.0), text))
    assert relative_error(found, expected) < BOUND


def test_relations_of_two_adapters_are_not_put_together(edit: Edit) -> None:
    first, second = chained(edit, (0, 1.0)), relation_of_other(edit)
    names = {relation.fingerprint for relation in edit.run(first, second)}
    with pytest.raises(GraphError) as error:
        edit.run(edit.graph.add("BlendRelations", relation_1=first, relation_2=second, ratio=0.5, mode="concat"))
    assert all(name in str(error.value) for name in names)
    assert len(names) == 2
