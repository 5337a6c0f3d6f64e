"""``dataset landscapes`` writes a run-ready dataset of trained relations, the same each time and after a stop."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from PIL import Image

from relation_core.errors import DatasetError
from relation_core.progress import Silent
from relation_core.samples.samples import read_samples
from relation_core.scenes.landscape import quiet_landscape
from relation_core.scenes.painting import paint
from relation_core.scenes.splits import draw_relation
from relation_tools.dataset.landscapes import RECORD, LandscapeOptions, write_landscapes
from relation_tools.dataset.validation import run_ready_files, validate
from tests.command_line import run
from tests.counted_progress import CountedProgress

OPTIONS = LandscapeOptions(relations=5, scenes=7, pairs=3, seed=3)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("landscapes")
    progress = CountedProgress()
    assert write_landscapes(out, OPTIONS, 2, progress) == 30
    assert progress.complete
    return out


def test_every_pair_is_an_exemplar_of_the_others(written: Path) -> None:
    samples = list(read_samples(written / "train.jsonl"))
    assert len(samples) == OPTIONS.relations * OPTIONS.pairs * (OPTIONS.pairs - 1)
    for number in range(OPTIONS.relations):
        own = samples[6 * number : 6 * number + 6]
        pairs = [(f"edited/000/{number:06d}_{place}.png", own[0].text) for place in range(3)]
        assert [((s.cond2, s.text), (s.target, s.text)) for s in own] == list(permutations(pairs, 2))
        assert all((s.cond1 == s.source) == (s.cond2 == s.target) == False for s in own)  # noqa: E712
        assert own[0].text == draw_relation(OPTIONS.seed, number).instruction
    assert len({sample.source for sample in samples}) > OPTIONS.pairs  # relations are not all shown on the same ones
    assert not validate(run_ready_files(written), Silent()).problems


def test_pictures_are_what_the_relation_makes_of_the_scene(written: Path) -> None:
    for sample in list(read_samples(written / "train.jsonl"))[::5]:
        scene = quiet_landscape(OPTIONS.seed, int(Path(sample.source).stem))
        relation = draw_relation(OPTIONS.seed, int(Path(sample.target).stem[:6]))
        for name, expected in ((sample.source, paint(scene)), (sample.target, relation.apply(scene))):
            with Image.open(written / name) as picture:
                assert picture.mode == "RGB" and picture.tobytes() == expected.tobytes()


def test_a_stopped_call_goes_on_and_ends_the_same(written: Path, tmp_path: Path) -> None:
    kept = tmp_path / "scenes" / "000" / "000003.png"
    kept.parent.mkdir(parents=True)
    for name in ("scenes/000/000003.png", RECORD):
        (tmp_path / name).write_bytes((written / name).read_bytes())
    before = kept.stat().st_mtime_ns
    drawn = ("--relations", 5, "--scenes", 7, "--seed", 3)
    said = run("dataset", "landscapes", tmp_path, "--processes", 1, *drawn)
    assert "30 samples of 5 relations" in said
    assert contents(tmp_path) == contents(written)
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("other", [{"seed": 4}, {"scenes": 8}, {"pairs": 2}])
def test_pictures_of_other_options_are_not_kept(written: Path, other: dict[str, int]) -> None:
    """Each of these decides what a picture of a given name shows."""
    before = contents(written)
    with pytest.raises(DatasetError, match=r'were drawn with \{"seed": 3, "scenes": 7, "pairs": 3\}; expected'):
        write_landscapes(written, replace(OPTIONS, **other), 1, Silent())
    assert contents(written) == before


@pytest.mark.parametrize("record", [None, b"", b"[]", b"{", b'{"seed": 3}'])
def test_pictures_of_unknown_options_are_not_kept(written: Path, tmp_path: Path, record: bytes | None) -> None:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    (tmp_path / RECORD).unlink()
    if record is not None:
        (tmp_path / RECORD).write_bytes(record)
    with pytest.raises(DatasetError, match="Choose another folder, or remove this one"):
        write_landscapes(tmp_path, OPTIONS, 1, Silent())


def test_more_relations_are_added(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "more")
    write_landscapes(tmp_path / "more", replace(OPTIONS, relations=6), 1, Silent())
    write_landscapes(tmp_path / "anew", replace(OPTIONS, relations=6), 1, Silent())
    assert contents(tmp_path / "more") == contents(tmp_path / "anew")


@pytest.mark.parametrize(
    ("relations", "scenes", "pairs", "says"),
    [
        (0, 7, 3, "Got relations = 0; expected a whole number from 1"),
        (5, 2, 3, "Got pairs = 3 and scenes = 2; expected at least as many scenes"),
        (5, 7, 1, "Got pairs = 1; expected a whole number from 2"),
    ],
)
def test_too_little_to_draw_is_refused(relations: int, scenes: int, pairs: int, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        LandscapeOptions(relations, scenes, pairs)
