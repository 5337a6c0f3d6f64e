"""Learning exemplar tokens: exact gradients through mapped matrices, steps that can be interrupted, plain refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from random_weights import SMALL, random_relation, random_weights, relative_error, small_adapter, write_safetensors
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from relation_core.adapter.adapter import open_adapter
from relation_core.adapter.config import RelationConfig
from relation_core.adapter.keys import block_keys
from relation_core.errors import CheckpointError, RelationMismatchError
from relation_core.progress import Silent
from relation_core.relation import streaming
from relation_core.relation.keys_values import compute_keys_values
from relation_core.relation.learned import Learned
from relation_core.relation.relation import average_relations, concat_relations
from relation_core.relation.relation_file import load_relation, save_relation
from relation_core.tuning.attended import Attended, attended_by_block
from relation_core.tuning.flow import LatentPair, draw_edit, flow_losses, split_samples
from relation_core.tuning.learner import Learner
from relation_core.tuning.levels import draw_levels
from relation_core.tuning.pairs import (
    check_latents,
    check_pairs,
    check_start,
    in_relations,
    learned_relation,
    start_relation,
)
from relation_core.tuning.settings import TuningError, TuningSettings

STATUS = Path("/proc/self/status")
BROAD = RelationConfig(blocks=2, heads=24, head_dim=128, tokens=4, text_dim=4096, vision_dim=8, projection_dim=8)
"""Its four matrices have 100 MB in bfloat16 and 200 MB in float32."""


def random_like(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(tensor.shape, generator=generator).to(tensor) for tensor in tensors]


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("block_bytes", [1, 200, 1 << 20], ids=["a row", "some rows", "all rows"])
def test_the_streamed_gradient_is_that_of_the_whole_matrices(
    monkeypatch: pytest.MonkeyPatch, stored: torch.dtype, block_bytes: int
) -> None:
    monkeypatch.setattr(streaming, "BLOCK_BYTES", block_bytes)
    weights = random_weights(dtype=stored)
    tokens = torch.randn(8, SMALL.text_dim, generator=torch.Generator().manual_seed(1))
    streamed, whole = (tokens.clone().requires_grad_() for _ in range(2))
    found = attended_by_block(streamed, weights, SMALL, None).tensors()
    expected: list[list[torch.Tensor]] = [[], []]
    for index in range(SMALL.blocks):
        for kind, name in enumerate(block_keys(index)):
            projected = (whole @ weights[name].float().T).unflatten(1, (SMALL.heads, SMALL.head_dim)).transpose(0, 1)
            expected[kind].append(
                torch.nn.functional.rms_norm(projected, (SMALL.head_dim,), eps=1e-5) if kind == 0 else projected
            )
    cotangents = random_like(found)
    torch.autograd.backward(found, cotangents)
    torch.autograd.backward(expected[0] + expected[1], cotangents)
    assert streamed.grad is not None and whole.grad is not None
    assert relative_error(streamed.grad, whole.grad) < 1e-5
    kept = compute_keys_values(tokens, weights, SMALL, "cpu", Silent())
    assert torch.equal(torch.stack(found[: SMALL.blocks]), kept.keys)
    assert torch.equal(torch.stack(found[SMALL.blocks :]), kept.values)


@pytest.mark.skipif(not STATUS.exists(), reason="memory is looked up in /proc")
def test_the_gradient_holds_nothing_of_the_adapter(tmp_path: Path) -> None:
    def held() -> int:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) << 10

    adapter = open_adapter(write_safetensors(tmp_path / "a.safetensors", random_weights(BROAD, dtype=torch.bfloat16)))
    weights = adapter.weights()
    tokens = torch.randn(8, BROAD.text_dim).requires_grad_()
    before = held()
    found = attended_by_block(tokens, weights, BROAD, None).tensors()
    after_forward = held()
    torch.autograd.backward(found, random_like(found))
    assert tokens.grad is not None
    assert max(after_forward, held()) - before < 60 << 20


def test_levels_span_the_noise_evenly_in_u() -> None:
    levels = draw_levels(1000, torch.Generator().manual_seed(0))
    assert float(levels.min()) >= 0.05 and float(levels.max()) <= 1.0
    u = ((1 - levels.double()) / 0.95) ** 0.4
    places = (u * 1000).floor().sort().values
    assert int((places - torch.arange(1000)).abs().max()) <= 1  # one in each part, but for rounding at its edge
    assert not torch.equal(levels, levels.sort().values)


def toy_predict(
    noisy: torch.Tensor, source: torch.Tensor, levels: torch.Tensor, attended: Attended | None
) -> torch.Tensor:
    """A model that adds one number of every block's values to its guess of the target, which is the source."""
    shift = (
        sum((values.mean(1)[0, :16] for values in attended.values), torch.zeros(16)) if attended else torch.zeros(16)
    )
    return (noisy - source - shift[:, None, None]) / levels.view(-1, 1, 1, 1)


def toy_pairs(count: int, size: tuple[int, int] = (4, 4), seed: int = 0) -> list[LatentPair]:
    """Pairs that differ by the same shift of every channel."""
    generator = torch.Generator().manual_seed(seed)
    sources = [torch.randn(16, *size, generator=generator) for _ in range(count)]
    return [LatentPair(source, source + torch.linspace(-0.5, 0.5, 16)[:, None, None]) for source in sources]


def toy_learner(settings: TuningSettings, pairs: list[LatentPair], held_out: list[LatentPair] | None = None) -> Learner:
    tokens = torch.randn(1, 8, SMALL.text_dim, generator=torch.Generator().manual_seed(3))
    return Learner(
        toy_predict, random_weights(), SMALL, tokens, None, pairs, held_out or [], settings, "cpu", torch.float32
    )


def loss_of(learner: Learner, pairs: list[LatentPair]) -> float:
    noises = [torch.randn(pair.target.shape, generator=torch.Generator().manual_seed(9)) for pair in pairs]
    (samples,) = split_samples(pairs, noises, torch.full((len(pairs),), 0.7))
    return float(flow_losses(toy_predict, samples, learner.attended(), torch.device("cpu")).mean())


def test_it_learns_what_pairs_have_in_common() -> None:
    unseen = toy_pairs(6, seed=1)
    learner = toy_learner(TuningSettings(steps=150, batch_size=8), toy_pairs(3))
    before = loss_of(learner, unseen)
    while not learner.done:
        learner.take_step()
    assert loss_of(learner, unseen) < 0.01 * before
    assert len(learner.losses) == 150
    learner.check_learned()


@pytest.mark.parametrize("held_out", [0, 2])
@pytest.mark.parametrize("stop", [1, 7, 13])
def test_it_goes_on_from_a_state_to_the_same_bits(stop: int, held_out: int, tmp_path: Path) -> None:
    settings = TuningSettings(steps=15, batch_size=5, check_every=4)
    pairs, unseen = toy_pairs(2) + toy_pairs(1, (4, 6)), toy_pairs(held_out, seed=1)
    whole, first, second = (toy_learner(settings, pairs, unseen) for _ in range(3))
    while not whole.done:
        whole.take_step()
    while first.step < stop:
        first.take_step()
    torch.save(first.state(), tmp_path / "state.pt")
    second.load(torch.load(tmp_path / "state.pt", weights_only=True))
    while not second.done:
        second.take_step()
    assert torch.equal(second.tokens, whole.tokens)
    assert second.losses == whole.losses and second.checks == whole.checks


def test_pieces_change_only_the_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[torch.Tensor] = []
    for most in (1, 10_000):
        monkeypatch.setattr("relation_core.tuning.flow.PIECE_TOKENS", most)
        learner = toy_learner(TuningSettings(steps=1, batch_size=8), toy_pairs(3))
        learner.take_step()
        results.append(learner.tokens)
    assert relative_error(*results) < 1e-5


def test_samples_of_one_size_go_together() -> None:
    small, wide = toy_pairs(5), toy_pairs(2, (4, 1024))
    pairs = [small[0], wide[0], *small[1:], wide[1]]
    parts = split_samples(pairs, [pair.target for pair in pairs], torch.arange(7.0))
    assert [part.levels.tolist() for part in parts] == [[0, 2, 3, 4, 5], [1], [6]]  # 2048 tokens are one piece
    for part in parts:
        for index, level in enumerate(part.levels):
            assert torch.equal(part.source[index], pairs[int(level)].source)
            assert torch.equal(part.noise[index], pairs[int(level)].target)


def shift_of(learner: Learner) -> torch.Tensor:
    """What :func:`toy_predict` adds with the learned tokens: (16,)."""
    return sum((values.mean(1)[0, :16] for values in learner.attended().values), torch.zeros(16))


def shifted(pairs: list[LatentPair], shift: torch.Tensor) -> list[LatentPair]:
    return [LatentPair(pair.source, pair.source + shift[:, None, None]) for pair in pairs]


def test_the_best_step_on_held_out_pairs_is_kept() -> None:
    """Learning passes by what the held-out pairs ask for: halfway between where it starts and where it ends."""
    settings = TuningSettings(steps=30, learning_rate=0.05, batch_size=4, check_every=5)
    last = toy_learner(settings, toy_pairs(2))
    halfway = torch.lerp(shift_of(last), torch.linspace(-0.5, 0.5, 16), 0.5)
    learner = toy_learner(settings, toy_pairs(2), shifted(toy_pairs(2, seed=1), halfway))
    after = {0: last.tokens}
    while not learner.done:
        learner.take_step()
        last.take_step()
        after[last.step] = last.tokens
    learner.check_learned()
    losses = dict(learner.checks)
    assert list(losses) == [0, 5, 10, 15, 20, 25, 30]
    best = min(losses, key=losses.__getitem__)
    assert 0 < best < 30 and losses[best] < 0.8 * min(losses[0], losses[30])
    assert learner.best_step == best and torch.equal(learner.tokens, after[best])


def test_learning_that_helps_no_held_out_pair_is_refused() -> None:
    settings = TuningSettings(steps=10, batch_size=4, check_every=5)
    start = shift_of(toy_learner(settings, toy_pairs(2)))
    learner = toy_learner(settings, toy_pairs(2), shifted(toy_pairs(2, seed=1), start))  # as good as it can be
    while not learner.done:
        learner.take_step()
    with pytest.raises(TuningError, match=r"No step at the learning rate 0\.15 lowered the loss on the held-out pairs"):
        learner.check_learned()


@pytest.mark.parametrize("where", ["at the start", "later", "in the held-out pairs"])
def test_a_loss_that_is_not_finite_is_refused_when_it_is_found(where: str) -> None:
    """Also in the last step, and with good tokens of held-out pairs kept before."""
    settings = TuningSettings(steps=4, batch_size=2, check_every=1)
    held_out = toy_pairs(1, seed=1)
    learner = toy_learner(settings, toy_pairs(2), held_out)
    predict, of_held_out = learner._predict, held_out[0].source

    def failing(noisy: torch.Tensor, source: torch.Tensor, *rest: Any) -> torch.Tensor:
        measuring = torch.equal(source[0], of_held_out)
        fails = {"at the start": not measuring, "later": not measuring and learner.step == 3}
        scale = float("nan") if fails.get(where, measuring and learner.step == 4) else 1.0
        return scale * predict(noisy, source, *rest)

    learner._predict = failing
    with pytest.raises(TuningError, match=r"The loss of step \d is nan .* Nothing was kept: lower the learning rate"):
        while not learner.done:
            learner.take_step()
    assert learner.step == (1 if where == "at the start" else 4)


@pytest.mark.parametrize("rate", [1e6, 30.0])
def test_a_rate_that_is_too_high_is_refused(rate: float) -> None:
    learner = toy_learner(TuningSettings(steps=5, learning_rate=rate), toy_pairs(2))
    with pytest.raises(TuningError, match=r"lower the learning rate"):
        while not learner.done:
            learner.take_step()
        learner.check_learned()


def test_the_rate_does_not_depend_on_the_tokens_size() -> None:
    moves = []
    for size in (1.0, 100.0):
        learner = toy_learner(TuningSettings(steps=1), toy_pairs(2))
        learner = Learner(
            toy_predict,
            random_weights(),
            SMALL,
            size * learner.tokens,
            None,
            toy_pairs(2),
            [],
            TuningSettings(steps=1),
            "cpu",
            torch.float32,
        )
        before = learner.tokens
        learner.take_step()
        moves.append(float((learner.tokens - before).abs().median()))
    assert moves[1] / moves[0] == pytest.approx(100.0, rel=0.02)


def test_the_edit_is_drawn_down_the_schedule() -> None:
    source, noise = torch.zeros(2, 16, 4, 4), torch.ones(2, 16, 4, 4)
    seen: list[float] = []

    def predict(noisy: torch.Tensor, clean: torch.Tensor, levels: torch.Tensor, _: Attended | None) -> torch.Tensor:
        seen.append(float(levels[0]))
        return (noisy - clean) / levels.view(-1, 1, 1, 1)

    assert float(draw_edit(predict, source, noise, 3, None).abs().max()) < 1e-6
    assert seen[0] == 1.0 and seen == sorted(seen, reverse=True) and len(seen) == 3


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"steps": 0}, "Got steps = 0; expected a whole number from 1 to 100000"),
        ({"learning_rate": 0.0}, "Got learning_rate = 0.0; expected a number above 0"),
        ({"learning_rate": float("nan")}, "Got learning_rate = nan"),
        ({"learning_rate": 1e38}, r"Got learning_rate = 1e\+38; expected a number above 0 and at most 1e\+06"),
        ({"batch_size": 0}, "Got batch_size = 0"),
        ({"seed": -1}, "Got seed = -1"),
        ({"check_every": 0}, "Got check_every = 0"),
    ],
)
def test_settings_without_a_meaning_are_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(TuningError, match=says):
        TuningSettings(**changed)


def test_pairs_without_an_edit_are_refused() -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    check_pairs([(red, blue)])
    with pytest.raises(TuningError, match="There is no pair to learn from"):
        check_pairs([])
    with pytest.raises(TuningError, match="The pictures of pair 2 are equal"):
        check_pairs([(red, blue), (red, red.copy())])
    with pytest.raises(TuningError, match="The pictures of pair 1 have 8x8 and 8x9 pixels"):
        check_pairs([(red, Image.new("RGB", (8, 9), "red"))])


def test_pairs_that_become_equal_at_the_size_of_learning_are_refused() -> None:
    (pair,) = toy_pairs(1, (4, 6))
    check_latents([pair])
    same = LatentPair(pair.source, pair.source.clone())
    with pytest.raises(TuningError, match="The pictures of pair 2 are equal at the size that is learned from"):
        check_latents([pair, same])


def test_a_start_must_fit(tmp_path: Path) -> None:
    adapter, other = small_adapter(tmp_path), small_adapter(tmp_path, seed=1)
    relation = random_relation(adapter, pairs=2)
    assert check_start(relation, adapter) is relation
    with pytest.raises(RelationMismatchError, match="The relation to start from was made with the adapter"):
        check_start(relation, other)
    with pytest.raises(TuningError, match="weight 0"):
        check_start(replace(relation, pair_weights=(0.0, 0.0)), adapter)


def test_it_starts_at_the_mean_of_any_number_of_pairs(tmp_path: Path) -> None:
    """Of 130 pairs: as many as two relations hold, and two more."""
    adapter = small_adapter(tmp_path)
    pictures = [Image.new("RGB", (16, 16), (number, 0, 0)) for number in range(131)]
    parts = list(in_relations(list(pairwise(pictures))))
    assert [len(part) for part in parts] == [64, 64, 2]
    assert [pair for part in parts for pair in part] == list(pairwise(pictures))
    encoded = [random_relation(adapter, pairs=len(part), seed=place) for place, part in enumerate(parts)]
    start = start_relation(*encoded)
    every = torch.cat([part.tokens for part in encoded])
    assert start.pair_weights == (1.0,) and torch.allclose(start.tokens[0], every.mean(0), atol=1e-6)


LEARNED = Learned(4, 400, "make it sepia", "flux1-dev.safetensors")


def test_a_learned_relation_says_so_in_its_file(tmp_path: Path) -> None:
    adapter = small_adapter(tmp_path)
    encoded = random_relation(adapter, pairs=5)
    start = start_relation(encoded)
    assert torch.allclose(start.tokens[0], encoded.tokens.mean(0), atol=1e-6)
    assert start.thumbnails.shape == (1, 128, 256, 3)
    first = Image.fromarray(encoded.thumbnails[3].numpy()).resize((128, 64), Image.Resampling.LANCZOS)
    assert Image.fromarray(start.thumbnails[0].numpy()).crop((128, 64, 256, 128)).tobytes() == first.tobytes()
    learned = learned_relation(adapter, start, start.tokens + 0.5, LEARNED, "cpu", torch.float32)
    save_relation(learned, tmp_path / "learned.safetensors")
    loaded = load_relation(tmp_path / "learned.safetensors", adapter, "cpu")
    assert loaded.learned == (LEARNED,)
    assert torch.equal(loaded.tokens, start.tokens + 0.5)
    assert torch.equal(loaded.keys_values.keys, learned.keys_values.keys)
    assert "4 pairs in 400 steps with flux1-dev.safetensors, the prompt 'make it sepia'" in str(LEARNED)
    mean = random_relation(adapter, seed=1)
    assert concat_relations(mean, loaded, 0.5).learned == average_relations(loaded, mean, 0.5).learned == (LEARNED,)
    assert concat_relations(loaded, loaded, 0.5).learned == (LEARNED,)


def test_files_without_origins_load_and_damaged_ones_do_not(tmp_path: Path) -> None:
    adapter, path = small_adapter(tmp_path), tmp_path / "relation.safetensors"
    save_relation(random_relation(adapter), path)
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    assert "learned" not in metadata
    assert load_relation(path, adapter, "cpu").learned == ()
    for damaged in (
        "{",
        "{}",
        "[1]",
        json.dumps([{"pairs": -1, "steps": 1, "prompt": "", "model": ""}]),
        "[" * 100_000,
    ):
        save_file(load_file(path), path, {**metadata, "learned": damaged})
        with pytest.raises(CheckpointError, match="is a damaged relation: its record of how it was learned"):
            load_relation(path, adapter, "cpu")
    long = replace(random_relation(adapter), learned=(replace(LEARNED, prompt="a" * 5000),))
    save_relation(long, path)
    assert len(load_relation(path, adapter, "cpu").learned[0].prompt) == 2000
