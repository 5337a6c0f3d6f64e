"""Items that Ray divides among workers, some of which die."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path

import pytest

from relation_core.errors import RelationAdapterError
from relation_tools.commands.ray_options import LOCAL
from relation_tools.spread.cluster import _divided, cluster
from relation_tools.spread.spreading import LOSSES, Lost, spread
from tests.deadly_work import (
    Holder,
    makes_a_faulty_one,
    makes_a_worker,
    makes_none,
    makes_one_that_tells_its_niceness,
)

pytestmark = pytest.mark.slow


def test_an_item_that_kills_workers_is_given_up_and_all_others_are_done_once(tmp_path: Path) -> None:
    items = [*(f"item{number}" for number in range(10)), "deadly", *(f"item{number}" for number in range(10, 20))]
    with cluster(LOCAL, 2) as where:
        assert (where.workers, where.cards) == (2, 0)
        outcomes = list(spread(where, items, partial(makes_a_worker, tmp_path), together=3))
    assert sorted(item for item, _ in outcomes) == sorted(items)
    found = dict(outcomes)
    assert found.pop("deadly") == Lost(LOSSES)
    assert len((tmp_path / "deadly").read_text()) == LOSSES
    tries = {item: len((tmp_path / item).read_text()) for item in found}
    assert sorted(tries.values())[-3:] in ([1, 1, 1], [1, 1, 2], [1, 2, 2])  # those that were sent with it, once more
    assert all(found[item].startswith(f"{item} of ") for item in found)
    assert sum(str(outcome).endswith(" of 3") for outcome in found.values()) >= 15


def test_workers_that_die_over_whatever_they_are_given_end_the_run(tmp_path: Path) -> None:
    with cluster(LOCAL, 2) as where, pytest.raises(RelationAdapterError, match="Workers die over everything"):
        list(spread(where, ["deadly"] * 40, partial(makes_a_worker, tmp_path)))
    assert len((tmp_path / "deadly").read_text()) < 30


def test_workers_are_as_nice_as_their_command(recwarn: pytest.WarningsRecorder) -> None:
    """At Ray's own 15, whatever else computes holds them up. Ray warns of more workers than there are items."""
    with cluster(LOCAL, 2) as where:
        assert list(spread(where, ["item"], makes_one_that_tells_its_niceness)) == [("item", os.nice(0))]
    assert "concurrent actors" not in "".join(str(one.message) for one in recwarn)


def test_a_machine_on_which_ray_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on one that is too busy for it."""

    def refuse(**_: object) -> None:
        raise Exception("The current node timed out during startup. This could be anything.\nMore.")

    monkeypatch.setattr("ray.init", refuse)
    expected = r"Ray did not start on this machine \(The current node timed out during startup. .*\). Expected"
    with pytest.raises(RelationAdapterError, match=expected), cluster(LOCAL, 1):
        pass


def test_a_long_path_for_passing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's sockets, whose paths may have some 100 bytes, do not lie there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    there = set(Path("/tmp").glob("relation-*"))
    with cluster(LOCAL, 1) as where:
        assert list(spread(where, ["item"], partial(makes_a_worker, tmp_path))) == [("item", "item of 1")]
    assert set(Path("/tmp").glob("relation-*")) == there
    assert [path.name for path in tmp_path.iterdir()] == ["item"]


def test_a_cluster_whose_cores_others_hold_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Workers wait for them without end, and nobody would know why."""
    with cluster(LOCAL, 1):
        import ray  # which reads its settings at once

        assert "are free for" not in caplog.text
        cores = int(ray.cluster_resources()["CPU"])
        held = ray.remote(num_cpus=cores)(Holder).remote()
        assert ray.get(held.there.remote())
        _divided(1, on_cards=False, on_cores=False)
        assert f"0 of the Ray cluster's {cores} processor cores are free for 1 workers: some wait." in caplog.text


def test_relative_paths_begin_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where the cluster was started."""
    with cluster(LOCAL, 1) as where:
        monkeypatch.chdir(tmp_path)
        assert [outcome for _, outcome in spread(where, ["item"], partial(makes_a_worker, Path()))] == ["item of 1"]
        assert (tmp_path / "item").is_file()
        monkeypatch.setattr(os, "getcwd", lambda: str(tmp_path / "gone"))
        with pytest.raises(RelationAdapterError, match=r"cannot go to the folder '.*gone', in which the command runs"):
            list(spread(where, ["item"], partial(makes_a_worker, Path())))


def test_a_worker_that_cannot_start_ends_the_run_with_its_reason() -> None:
    with cluster(LOCAL, 1) as where, pytest.raises(RelationAdapterError, match=r"There are no models\."):
        list(spread(where, ["a", "b"], makes_none))


def test_a_worker_that_fails_as_nobody_foresaw_ends_the_run_with_the_reason() -> None:
    with cluster(LOCAL, 1) as where, pytest.raises(RelationAdapterError, match=r"A worker of Ray failed \(.*faulty"):
        list(spread(where, ["a", "b"], makes_a_faulty_one))


def test_a_cluster_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(RelationAdapterError, match=r"Cannot join a Ray cluster at '127\.0\.0\.1:9' \(.*refused"),
        cluster("127.0.0.1:9", 1),
    ):
        pass
