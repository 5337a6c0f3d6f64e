"""Where the relation does not act, nothing of it is left: compared bit for bit."""

from __future__ import annotations

import pytest
import torch
from edits import Edit

from comfyui_host.host import Host


@pytest.mark.parametrize(
    "settings",
    [
        {"strength": 0.0},
        {"start_percent": 0.5, "end_percent": 0.5},
        {"start_percent": 0.7, "end_percent": 0.3},
        {"double_strength": 0.0, "single_strength": 0.0},
    ],
)
def test_nothing_to_do_leaves_the_model_as_it_was(host: Host, settings: dict[str, float]) -> None:
    edit = Edit(host)
    model, text = edit.model(), edit.with_source(edit.text())
    plain, patched, acting = edit.run(
        edit.sample(model, text),
        edit.sample(edit.apply(model, edit.relation(), **settings), text),
        edit.sample(edit.apply(model, edit.relation()), text),
    )
    assert torch.equal(plain, patched)
    assert not torch.equal(plain, acting)


@pytest.mark.parametrize("patched_first", [True, False])
def test_the_model_before_the_node_stays_as_it_was(host: Host, patched_first: bool) -> None:
    alone = Edit(host)
    expected = alone.run(alone.sample(alone.model(), alone.with_source(alone.text())))

    edit = Edit(host)
    model, text = edit.model(), edit.with_source(edit.text())
    samples = {"patched": lambda: edit.sample(edit.apply(model, edit.relation()), text)}
    samples["plain"] = lambda: edit.sample(model, text)
    for name in ("patched", "plain") if patched_first else ("plain", "patched"):
        result = edit.run(samples[name]())
        assert torch.equal(result, expected) == (name == "plain")


def test_two_strengths_in_one_graph_do_not_touch_each_other(host: Host) -> None:
    def results(strengths: list[float]) -> list[torch.Tensor]:
        edit = Edit(host)
        model, text, relation = edit.model(), edit.with_source(edit.text()), edit.relation()
        nodes = [edit.sample(edit.apply(model, relation, strength=s), text) for s in strengths]
        result = edit.run(*nodes)
        return result if len(nodes) > 1 else [result]

    together = results([0.4, 1.3])
    for found, strength in zip(together, (0.4, 1.3), strict=True):
        assert torch.equal(found, results([strength])[0])
    assert not torch.equal(*together)


def test_a_relation_is_not_changed_by_what_is_done_with_it(host: Host) -> None:
    edit = Edit(host)
    relation = edit.run(edit.relation())
    before = relation.keys_values.keys.clone(), relation.keys_values.values.clone(), relation.tokens.clone()
    given = edit.value(relation)
    model = edit.apply(edit.apply(edit.model(), given, strength=-0.5), given)
    edit.run(edit.sample(model, edit.with_source(edit.text())))
    after = relation.keys_values.keys, relation.keys_values.values, relation.tokens
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
