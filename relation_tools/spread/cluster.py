"""Ray for one command: started on this machine, or a cluster that runs already."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import relation_core
from relation_core.errors import RelationAdapterError, printable

LOCAL = "local"
"""Stands for this machine in place of a cluster's address."""
_STORE = 128 << 20
"""Bytes of shared memory for what Ray passes on: paths and outcomes, never pictures."""

_PATIENCE = 20.0
"""Seconds to wait for a cluster's answer."""

_LOG = logging.getLogger(__name__)
_SHORT, _LONGEST = "/tmp", 17  # noqa: S108 - a folder of its own is made in it
"""A place for passing files, and the most bytes of another's path: Ray's sockets there have paths that are 86 longer,
and systems take 103."""


@dataclass(frozen=True)
class Cluster:
    """Where the workers run."""

    workers: int
    cores: int
    """Processor cores of each worker."""
    cards: int
    """Graphics cards of each: 1, or 0 where workers compute on processors."""


@contextmanager
def cluster(address: str, workers: int | None, on_cards: bool = True, on_cores: bool = False) -> Generator[Cluster]:
    """Join a cluster, or start Ray on this machine and stop it after the block.

    Args:
        address: of the cluster, such as ``10.0.0.1:6379``; :data:`LOCAL` for this machine.
        workers: how many; None for one a graphics card, or one a machine where there are no cards.
        on_cards: whether workers use graphics cards, where there are any.
        on_cores: whether there is one worker a processor core, unless ``workers`` says how many.

    Raises:
        RelationAdapterError: no cluster is there, or it has no room for so many workers.
    """
    if address != LOCAL:
        with _joined(address):
            yield _divided(workers, on_cards, on_cores)
        return
    with _own_settings(), _started(workers):
        yield _divided(workers, on_cards, on_cores)


@cache
def _token() -> str:
    """One for this process: Ray reads it once."""
    return secrets.token_hex(32)


def _place() -> str:
    """Where a folder for Ray is made: the usual place for passing files, unless its path is too long."""
    usual = tempfile.gettempdir()
    return _SHORT if len(os.fsencode(usual)) > _LONGEST and Path(_SHORT).is_dir() else usual


@contextmanager
def _own_settings() -> Generator[None]:
    """Tell Ray through the environment, which its processes inherit, to leave and send nothing, and not to give way."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="relation-", dir=_place(), ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("RAY_TMPDIR", folder)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_worker_niceness", "0")  # at Ray's 15, other programs hold workers up for minutes
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:  # else Ray writes one into the home folder
            os.environ.setdefault("RAY_AUTH_TOKEN", _token())
        try:
            yield
        finally:
            for name in [name for name in os.environ if name.startswith("RAY_") and name not in before]:
                del os.environ[name]


@contextmanager
def _started(workers: int | None) -> Generator[None]:
    ray = _quiet_ray()
    cores = max(workers or 1, os.cpu_count() or 1)
    try:
        try:
            _begin(address="local", num_cpus=cores, include_dashboard=False, object_store_memory=_STORE)
        except Exception as error:  # Ray raises bare ones
            raise RelationAdapterError(
                f"Ray did not start on this machine ({_reason(error)}). Expected its processes to answer within half a "
                "minute: run again when less else runs here, or leave --ray out."
            ) from error
        yield
    finally:
        ray.shutdown()


@contextmanager
def _joined(address: str) -> Generator[None]:
    """Connect, and bring this code along, so that every machine runs the same."""
    import relation_tools  # noqa: PLC0415 - this package

    ray = _quiet_ray()
    code = {"py_modules": [relation_core, relation_tools]}
    try:
        _knock(address)
        _begin(address=address, runtime_env=code)
    except (OSError, RuntimeError, ValueError) as error:
        raise RelationAdapterError(
            f"Cannot join a Ray cluster at '{printable(address)}' ({_reason(error)}). Expected the address that `ray "
            "start --head` shows, such as 10.0.0.1:6379: check it, or give --ray alone to use this machine."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reason(error: Exception) -> str:
    return printable(str(error).strip().partition("\n")[0]).rstrip(".")


def _begin(**settings: Any) -> None:
    """Start or join Ray, and keep this command's own way to end when it is asked to."""
    import ray  # noqa: PLC0415 - takes a second

    ends = signal.getsignal(signal.SIGTERM)
    try:
        with _handling_nothing(ray):
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ends)


@contextmanager
def _handling_nothing(ray: Any) -> Generator[None]:
    """Keep Ray from handling SIGTERM as it starts: it would wait until its node is idle, for half a minute."""
    utils = ray._private.utils  # there is no public way
    before = getattr(utils, "set_sigterm_handler", None)
    if before is None:
        yield
        return
    utils.set_sigterm_handler = _ignored
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


def _ignored(_handler: object) -> None:
    pass


def _knock(address: str) -> None:
    """Refuse an address where nothing answers, for which Ray would wait for minutes.

    Raises:
        OSError: nothing does.
    """
    found = re.fullmatch(r"(?:ray://)?\[?(.+?)\]?:(\d{1,5})", address)
    if found:
        socket.create_connection((found[1], int(found[2])), timeout=_PATIENCE).close()


def _quiet_ray() -> Any:
    """Import Ray, and leave the terminal to our own messages."""
    import ray  # noqa: PLC0415 - reads the environment, which is set first
    import ray.data  # noqa: PLC0415

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _divided(workers: int | None, on_cards: bool, on_cores: bool) -> Cluster:
    """Divide what the cluster has.

    Raises:
        RelationAdapterError: there is too little.
    """
    import ray  # noqa: PLC0415

    nodes = cast("list[dict[str, Any]]", ray.nodes())
    machines: list[dict[str, float]] = [node["Resources"] for node in nodes if node["Alive"]]
    cores = sum(int(machine.get("CPU", 0)) for machine in machines)
    cards = sum(int(machine.get("GPU", 0)) for machine in machines) if on_cards else 0
    room, what = (cards, "graphics cards") if cards else (cores, "processor cores")
    count = workers or cards or (cores if on_cores else sum(machine.get("CPU", 0) >= 1 for machine in machines))
    if not 1 <= count <= room:
        raise RelationAdapterError(
            f"The Ray cluster has {room} {what} for {count} workers; expected one for each. Lower --workers."
        )
    free = int(ray.available_resources().get("GPU" if cards else "CPU", 0))
    if free < count:
        _LOG.warning("%d of the Ray cluster's %d %s are free for %d workers: some wait.", free, room, what, count)
    if cards:
        return Cluster(count, 1, 1)
    least = min(int(machine["CPU"]) for machine in machines if machine.get("CPU", 0) >= 1)
    return Cluster(count, max(1, min(least, cores // count)), 0)
