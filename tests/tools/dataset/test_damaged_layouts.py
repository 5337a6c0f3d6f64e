"""Archives, tables and lists with random damage: each is read as far as it goes, or refused in words."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import people
import pytest
from built import tree

from relation_core.errors import DatasetError
from relation_tools.dataset.opened import open_dataset
from relation_tools.dataset.pair_entry import PairEntry

pytestmark = pytest.mark.slow

DAMAGES = 60
SHARD = "train-00000-of-00002"
FILES: dict[str, Callable[[Path], Path]] = {
    "a.zip": lambda root: people.zipped(people.names_in_a_folder(root / "a"), root / "a.zip"),
    "a.tar": lambda root: people.tarred(people.names_in_a_folder(root / "a"), root / "a.tar", "w"),
    "a.tar.gz": lambda root: people.tarred(people.names_in_a_folder(root / "a"), root / "a.tar.gz", "w:gz"),
    "a.tar.bz2": lambda root: people.tarred(people.names_in_a_folder(root / "a"), root / "a.tar.bz2", "w:bz2"),
    "a.tar.xz": lambda root: people.tarred(people.names_in_a_folder(root / "a"), root / "a.tar.xz", "w:xz"),
    "a.parquet": lambda root: people.parquet(root) / "data" / f"{SHARD}.parquet",
    "a.arrow": lambda root: people.parquet(root, people.write_arrow_stream, ".arrow") / "data" / f"{SHARD}.arrow",
    "b.arrow": lambda root: people.parquet(root, people.write_arrow_file, ".arrow") / "data" / f"{SHARD}.arrow",
    "c.parquet": lambda root: people.table_of_names(root, "c.parquet") / "c.parquet",
    "a.jsonl": lambda root: people.listed(root, "a.jsonl", "source", "target", "text") / "a.jsonl",
    "a.csv": lambda root: people.listed(root, "a.csv", "source", "target", "text") / "a.csv",
}  # fmt: skip


def damaged(data: bytes, draw: random.Random) -> bytes:
    kind = draw.randrange(4)
    place = draw.randrange(len(data))
    if kind == 0:
        return data[:place]
    spoiled = bytearray(data)
    if kind == 1:
        for _ in range(draw.randrange(1, 20)):
            spoiled[draw.randrange(len(data))] = draw.randrange(256)
    elif kind == 2:
        spoiled[place : place + draw.randrange(1, 2000)] = draw.randbytes(draw.randrange(2000))
    else:
        spoiled[-draw.randrange(1, 300)] ^= 1 << draw.randrange(8)
    return bytes(spoiled)


@pytest.mark.parametrize("name", FILES)
def test_random_damage(tmp_path: Path, name: str) -> None:
    file = FILES[name](tmp_path / "pairs")
    good, draw = file.read_bytes(), random.Random(name)  # noqa: S311 - a test
    file = file.rename(file.with_name(name))
    expected = tree(tmp_path)
    for _ in range(DAMAGES):
        file.write_bytes(damaged(good, draw))
        with suppress(DatasetError):
            list(open_dataset(file, tmp_path / "out", tmp_path / "work").entries())
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        file.write_bytes(good)
        assert tree(tmp_path) == expected
    assert any(isinstance(one, PairEntry) for one in open_dataset(file, tmp_path / "out", tmp_path / "work").entries())
