"""What the benchmarks of the small model judge and count by."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from PIL import Image

from benchmarks.landscape_edits import (
    HELD_OUT,
    NEVER_SEEN,
    NEW_KINDS,
    REVERSED,
    TO,
    TRAINED,
    is_right,
    pair_of,
    pairs_to_learn,
)
from benchmarks.refresh_rules import ChosenSteps
from benchmarks.small_model import Way
from benchmarks.speed import reused_share, times_as_fast
from benchmarks.vision_probe import named_share
from relation_core.flux import source_reuse
from relation_core.flux.schedule import relation_sigmas
from relation_core.flux.source_reuse import SourceMemory
from relation_core.scenes.examples import example_scene
from relation_core.scenes.named_edits import edit_named
from relation_core.scenes.relation import PaintedEdit

PLACE = 4000


@pytest.mark.parametrize("name", NEVER_SEEN)
def test_an_edit_is_right_and_its_source_is_not(name: str) -> None:
    before, after = pair_of(name, PLACE)
    assert is_right(name, PLACE, after)
    assert is_right(name, PLACE, Image.blend(after, before, 0.2))
    assert not is_right(name, PLACE, before)


@pytest.mark.parametrize("name", NEW_KINDS)
def test_what_is_nearer_to_a_look_alike_of_a_new_kind_is_wrong(name: str) -> None:
    """The other new kinds, and the family that is most like it: each counts beside the near misses."""
    after = pair_of(name, PLACE)[1]
    kind, scene = NEW_KINDS[name], example_scene(NEW_KINDS[name].likest, PLACE)
    for other in (kind.likest, *(other for other in NEW_KINDS.values() if other != kind)):
        assert not is_right(name, PLACE, Image.blend(after, other.apply(scene), 0.55))


@pytest.mark.parametrize("name", ["mirror", f"houses_red{TO}houses_blue", "invert_lower_half"])
def test_a_reversed_pair_leads_from_the_picture_after_to_the_one_before(name: str) -> None:
    before, after = pair_of(name, PLACE)
    assert [picture.tobytes() for picture in pair_of(f"{name}{REVERSED}", PLACE)] == [after.tobytes(), before.tobytes()]
    assert is_right(f"{name}{REVERSED}", PLACE, before)
    assert not is_right(f"{name}{REVERSED}", PLACE, after)


def test_no_edit_that_was_never_seen_is_trained() -> None:
    def families(edit: PaintedEdit) -> list[bool]:
        return [step.family.held_out for step in edit.steps]

    assert not set(NEVER_SEEN) & set(TRAINED)
    assert not any(held_out for name in TRAINED for held_out in families(edit_named(name)))
    assert all(all(families(edit_named(name))) for name in HELD_OUT)


def test_pairs_are_learned_from_other_landscapes_than_those_judged_by() -> None:
    learned = {pair[0].tobytes() for pair in pairs_to_learn("posterise", 8)}
    assert len(learned) == 8
    assert not learned & {pair_of("posterise", PLACE + number)[0].tobytes() for number in range(8)}


@pytest.mark.parametrize("every", [1, 3, 4, 10])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_speed_counts_what_is_computed(sampler: str, every: int) -> None:
    """A run of ten steps, whose calls are those of ComfyUI's samplers."""
    schedule = relation_sigmas(10, (512 // 16) ** 2).tolist()
    levels = [level for level in schedule[:-1] for _ in range(1 + (sampler == "heun" and level < 1))]
    memory, full, reused = SourceMemory(every, schedule), 0, 0
    for level in levels:
        memory.evaluate(level)
        if memory.recall("call") is None:
            memory.keep("call", ["entry"], {})
            full += 1
        else:
            reused += 1
    assert times_as_fast(Way(sampler, 10, every), 512) == pytest.approx(24 / (full + 0.6 * reused))


@pytest.mark.parametrize("steps", [[0, 4, 8, 9], [0, 1, 2, 3, 4, 6, 7, 8, 9], [0]])
@pytest.mark.parametrize("side", [128, 1024])
def test_a_source_is_computed_at_the_chosen_steps(monkeypatch: pytest.MonkeyPatch, side: int, steps: list[int]) -> None:
    monkeypatch.setattr(source_reuse, "Refreshes", partial(ChosenSteps, steps))
    schedule: list[float] = relation_sigmas(10, (side // 16) ** 2).tolist()
    computed: list[int] = []
    memory = SourceMemory(4, schedule)
    for step, level in enumerate(schedule[:-1]):
        memory.evaluate(level)
        if memory.recall("call") is None:
            memory.keep("call", ["entry"], {"block": None})  # type: ignore[dict-item]
            computed.append(step)
    assert computed == steps


def test_a_step_with_a_reused_source_takes_its_share_of_the_tokens() -> None:
    assert reused_share(512) == pytest.approx(0.6)
    assert reused_share(1024) == pytest.approx(0.529, abs=1e-3)


def test_a_probe_is_right_where_it_names_all_families_and_no_other() -> None:
    truth = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    logits = torch.tensor([[0.2, 0.3, 0.1], [0.3, 0.1, 0.2], [-3.0, -2.0, -1.0], [1.0, 2.0, 1.5]])
    assert named_share(torch.nn.Identity(), logits, truth) == 0.5
