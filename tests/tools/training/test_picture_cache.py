"""Pictures are encoded once, exactly as at inference, and a killed encoding goes on."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_run import SmallRun

from relation_core.errors import DatasetError
from relation_core.pictures.picture_file import read_picture
from relation_core.pictures.tensors import from_pil
from relation_core.progress import Silent
from relation_core.samples.samples import Sample, read_samples
from relation_core.vision.exemplar import resize_exemplar, vision_pixels
from relation_tools.diffusers_host.autoencoder import encode, load_autoencoder
from relation_tools.diffusers_host.vision_model import load_vision_model
from relation_tools.training.models import FrozenEncoders, load_encoders
from relation_tools.training.picture_cache import PictureCache, open_cache
from tests.counted_progress import CountedProgress

KEYS = ("cond1", "cond2", "source", "target")


class Counting(CountedProgress):
    """Counts pictures, and stops the work after some."""

    def __init__(self, stop_after: int = 10**9) -> None:
        super().__init__()
        self._stop_after = stop_after

    def step(self) -> None:
        super().step()
        if self.taken >= self._stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def encoders(small_run: SmallRun) -> FrozenEncoders:
    return load_encoders(small_run.settings.models.vae, small_run.settings.models.vision, "cpu")


@pytest.fixture(scope="module")
def samples(small_run: SmallRun) -> list[Sample]:
    return list(read_samples(small_run.settings.data.train))


@pytest.fixture(scope="module")
def encoded(
    small_run: SmallRun, encoders: FrozenEncoders, samples: list[Sample], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A cache that is whole, to be copied."""
    folder = tmp_path_factory.mktemp("encoded")
    open_cache(folder, small_run.settings.data.train.parent, samples, 0, encoders, Silent())
    return folder


@pytest.mark.parametrize("long_side", [0, 32])
def test_it_holds_what_inference_would_compute(
    small_run: SmallRun, encoders: FrozenEncoders, samples: list[Sample], tmp_path: Path, long_side: int
) -> None:
    root = small_run.settings.data.train.parent
    cache = open_cache(tmp_path, root, samples, long_side, encoders, Silent())
    autoencoder = load_autoencoder(small_run.settings.models.vae, torch.float32)
    vision = load_vision_model(small_run.settings.models.vision, torch.float32)
    for name in samples[3].pictures:
        row = np.array([cache.rows[name]])
        picture = Image.open(root / name).convert("RGB")
        seen = vision.pooled(vision_pixels([resize_exemplar(picture)], vision.config.image_size))
        torch.testing.assert_close(cache.pooled(row), seen, rtol=1e-4, atol=1e-5)
        shown = picture.resize((32, 32), Image.Resampling.LANCZOS) if long_side else picture
        with torch.no_grad():
            latent = encode(autoencoder, from_pil(shown))
        torch.testing.assert_close(cache.latents(row), latent, rtol=1e-2, atol=1e-2)
        assert np.array_equal(np.asarray(cache.picture(int(row[0]))), np.asarray(picture))


def test_pictures_of_the_same_bytes_are_one_row(
    small_run: SmallRun, encoders: FrozenEncoders, samples: list[Sample], tmp_path: Path
) -> None:
    counting = Counting()
    cache = open_cache(tmp_path, small_run.settings.data.train.parent, samples, 0, encoders, counting)
    names = {name for sample in samples for name in sample.pictures}
    assert len(names) == 3 * 4 * 2  # relations, scenes, halves
    assert counting.taken == len(set(cache.rows.values())) == 4 + 3 * 4  # the scenes are the same for all relations


def test_a_killed_encoding_goes_on(
    small_run: SmallRun,
    encoders: FrozenEncoders,
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relation_tools.training.picture_cache._BATCH", 3)
    root = small_run.settings.data.train.parent
    with pytest.raises(KeyboardInterrupt):
        open_cache(tmp_path / "killed", root, samples, 0, encoders, Counting(stop_after=8))
    rest = Counting()
    again = open_cache(tmp_path / "killed", root, samples, 0, encoders, rest)
    assert rest.taken == rest.total == 16 - 9  # batches of 3 were kept
    whole = open_cache(tmp_path / "whole", root, samples, 0, encoders, Silent())
    rows = np.arange(16)
    assert torch.equal(again.latents(rows), whole.latents(rows))
    assert torch.equal(again.pooled(rows), whole.pooled(rows))
    nothing = Counting()
    open_cache(tmp_path / "killed", root, samples, 0, encoders, nothing)
    assert nothing.taken == 0


def test_other_settings_are_encoded_anew(
    small_run: SmallRun, encoders: FrozenEncoders, samples: list[Sample], tmp_path: Path
) -> None:
    root = small_run.settings.data.train.parent
    open_cache(tmp_path, root, samples, 0, encoders, Silent())
    counting = Counting()
    cache = open_cache(tmp_path, root, samples, 32, encoders, counting)
    assert counting.taken == 16
    assert cache.latents(np.arange(2)).shape == (2, 16, 4, 4)
    open_cache(tmp_path, root, samples, 0, replace(encoders, fingerprint="others"), counting)
    assert counting.taken == 16


def test_a_picture_that_cannot_be_read_is_named(small_run: SmallRun, encoders: FrozenEncoders, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    sample = Sample(0, *["broken.png"] * 4, "text")
    with pytest.raises(DatasetError, match=r"Cannot read the picture .*broken\.png.*dataset validate"):
        open_cache(tmp_path / "cache", tmp_path, [sample], 0, encoders, Silent())


def dataset_of(small_run: SmallRun, folder: Path) -> Path:
    """A copy that can be changed."""
    root = folder / "data"
    shutil.copytree(small_run.settings.data.train.parent, root)
    return root


def values(cache: PictureCache, name: str) -> list[torch.Tensor]:
    row = np.array([cache.rows[name]])
    return [cache.latents(row), cache.pooled(row)]


def test_a_picture_that_was_repaired_under_its_name_is_encoded_anew(
    small_run: SmallRun,
    encoders: FrozenEncoders,
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relation_tools.training.picture_cache._BATCH", 1)  # pictures beside it change its rounding
    root = dataset_of(small_run, tmp_path)
    name = samples[0].target
    broken = values(open_cache(tmp_path / "cache", root, samples, 0, encoders, Silent()), name)
    stat = (root / name).stat()
    Image.open(root / name).transpose(Image.Transpose.ROTATE_90).save(root / name)
    os.utime(root / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found = values(open_cache(tmp_path / "cache", root, samples, 0, encoders, Silent()), name)
    expected = values(open_cache(tmp_path / "new", root, samples, 0, encoders, Silent()), name)
    for before, after, right in zip(broken, found, expected, strict=True):
        assert torch.equal(after, right) and not torch.equal(before, after)


def test_renamed_pictures_are_not_encoded_again(
    small_run: SmallRun, encoders: FrozenEncoders, samples: list[Sample], tmp_path: Path
) -> None:
    root = dataset_of(small_run, tmp_path)
    before = open_cache(tmp_path / "cache", root, samples, 0, encoders, Silent())
    (root / "pictures").rename(root / "others")
    renamed = [replace(one, **{k: getattr(one, k).replace("pictures", "others") for k in KEYS}) for one in samples]
    counting = Counting()
    after = open_cache(tmp_path / "cache", root, renamed, 0, encoders, counting)
    assert counting.taken == 0
    for old, new in zip(samples[5].pictures, renamed[5].pictures, strict=True):
        assert torch.equal(values(before, old)[0], values(after, new)[0])


def test_two_datasets_share_a_cache_without_harm(
    small_run: SmallRun, encoders: FrozenEncoders, samples: list[Sample], tmp_path: Path
) -> None:
    """The second run must not rewrite arrays that the first has mapped."""
    root = dataset_of(small_run, tmp_path)
    first = open_cache(tmp_path / "cache", root, samples, 0, encoders, Silent())
    before = {name: values(first, name) for name in samples[0].pictures}
    open_cache(tmp_path / "cache", root, samples[:2], 32, encoders, Silent())
    for name, expected in before.items():
        for found, right in zip(values(first, name), expected, strict=True):
            assert torch.equal(found, right)


def test_a_sample_that_is_added_is_encoded_alone(
    small_run: SmallRun,
    encoders: FrozenEncoders,
    samples: list[Sample],
    encoded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = small_run.settings.data.train.parent
    monkeypatch.setattr("relation_tools.training.picture_reuse._ROWS", 3)
    monkeypatch.setattr("relation_tools.training.picture_cache._BATCH", 1)
    first = open_cache(tmp_path, root, samples[:5], 0, encoders, Silent())
    known = len(set(first.rows.values()))
    with pytest.raises(KeyboardInterrupt):  # of a set whose encoding was killed, what is done counts
        open_cache(tmp_path, root, samples[-3:], 0, encoders, Counting(stop_after=1))
    read: list[Path] = []
    monkeypatch.setattr(
        "relation_tools.training.picture_cache.read_picture", lambda path: read.append(path) or read_picture(path)
    )
    counting = Counting()
    grown = open_cache(tmp_path, root, samples, 0, encoders, counting)
    assert len(list(tmp_path.iterdir())) == 3, "sets of other pictures"
    new = len(set(grown.rows.values())) - known - 1
    assert counting.taken == counting.total == len(set(read)) == new > 0
    whole = open_cache(encoded, root, samples, 0, encoders, Silent())
    for name in grown.rows:
        for found, right in zip(values(grown, name), values(whole, name), strict=True):
            torch.testing.assert_close(found, right, rtol=2e-3, atol=2e-3)


def test_a_damaged_set_is_not_taken_over(
    small_run: SmallRun, encoders: FrozenEncoders, samples: list[Sample], encoded: Path, tmp_path: Path
) -> None:
    shutil.copytree(encoded, tmp_path, dirs_exist_ok=True)
    (pooled,) = tmp_path.rglob("pooled.npy")
    pooled.write_bytes(pooled.read_bytes()[:-1])
    counting = Counting()
    open_cache(tmp_path, small_run.settings.data.train.parent, samples[:2], 0, encoders, counting)
    assert counting.taken == counting.total > 0


def test_processes_that_share_a_cache_encode_each_picture_once(
    small_run: SmallRun, encoders: FrozenEncoders, samples: list[Sample], tmp_path: Path
) -> None:
    root, counts = small_run.settings.data.train.parent, [Counting() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda count: open_cache(tmp_path, root, samples, 0, encoders, count), counts))
    assert sorted(count.taken for count in counts) == [0, 0, 16]
    assert all(torch.equal(one.pooled(np.arange(16)), found[0].pooled(np.arange(16))) for one in found)
    assert not list(tmp_path.rglob(".relation-adapter*")), "no lock is left"


@pytest.mark.parametrize("name", ["done", "pooled", "latents_64x64", "sizes", "rows"])
@pytest.mark.parametrize("data", [None, b"", b"\0" * 300, "half"])
def test_damage_is_found_and_made_anew(
    small_run: SmallRun,
    encoders: FrozenEncoders,
    samples: list[Sample],
    encoded: Path,
    tmp_path: Path,
    name: str,
    data: bytes | str | None,
) -> None:
    root = small_run.settings.data.train.parent
    whole = open_cache(encoded, root, samples, 0, encoders, Silent())
    expected = {one: values(whole, one) for one in samples[1].pictures}
    shutil.copytree(encoded, tmp_path, dirs_exist_ok=True)
    (path,) = tmp_path.rglob(f"{name}.*")
    kept = path.read_bytes()
    path.unlink()
    if data is not None:
        path.write_bytes(data if isinstance(data, bytes) else kept[: len(kept) // 2])
    counting = Counting()
    again = open_cache(tmp_path, root, samples, 0, encoders, counting)
    assert counting.taken > 0 or name in ("sizes", "rows")  # which the pictures tell again
    for one, right in expected.items():
        assert all(torch.equal(a, b) for a, b in zip(values(again, one), right, strict=True))


def test_a_full_disk_is_an_error_before_anything_is_encoded(
    small_run: SmallRun,
    encoders: FrozenEncoders,
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    counting = Counting()
    with pytest.raises(DatasetError, match=r"could not be made: No space left on device. Free some disk space"):
        open_cache(tmp_path, small_run.settings.data.train.parent, samples, 0, encoders, counting)
    assert counting.taken == 0
