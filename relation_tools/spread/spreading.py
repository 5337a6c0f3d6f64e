"""Items that Ray Data spreads over workers, each of which loads its models once."""

from __future__ import annotations

import os
import pickle  # only between the processes of one cluster, which run each other's code anyway
import re
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import pyarrow as pa

from relation_core.errors import RelationAdapterError, printable

from .cluster import Cluster

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Work = Callable[[list[Item]], list[Outcome]]
"""Does some items, and says how each ended."""
LOSSES = 4
"""Workers that may die over one item; then it may be what kills them, and is given up."""
_HOPELESS = 12
"""Times that items are begun again before any is done; then none can be, as where a model is too large."""
_REMEDY = (
    "They may need more memory than their machines have: lower --workers, or use smaller models, pictures or batches."
)
_DYING = f"Workers die over everything that they are given, and nothing is done. {_REMEDY}"
_AT_A_TIME, _ROUNDS = 8, 8
"""Items that a worker is sent at a time, and how often it is at least sent some, so that all end together."""


@dataclass(frozen=True)
class Lost:
    """The outcome of an item over which workers died."""

    times: int

    def reason(self, over: str = "it") -> str:
        """Say so, and what to do, in whole sentences.

        Args:
            over: what the workers died over.
        """
        return f"{self.times} workers died over {over}. {_REMEDY}"


@dataclass(frozen=True)
class _Refused:
    """Says why a worker can do nothing at all."""

    message: str


class _Ledger:
    """Remembers what was begun and what was done, beyond the deaths of workers."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()
        self._outcomes: dict[int, bytes] = {}

    def known(self, numbers: list[int]) -> list[tuple[int, bytes | None]]:
        """Say how often each item was begun, and how it ended if it was done."""
        return [(self._begun[number], self._outcomes.get(number)) for number in numbers]

    def begin(self, numbers: list[int]) -> None:
        """Count a beginning of each."""
        self._begun.update(numbers)

    def is_hopeless(self) -> bool:
        """Tell whether workers died over one item after the other, and none is done."""
        return not self._outcomes and sum(times - 1 for times in self._begun.values()) >= _HOPELESS

    def end(self, outcomes: dict[int, bytes]) -> None:
        """Keep how items ended."""
        self._outcomes.update(outcomes)


class _Worker:
    """What every actor runs. The models are loaded with the first item."""

    def __init__(self, make: Callable[[], Work[Any, Any]], ledger: Any, folder: str) -> None:
        self._make, self._ledger, self._folder = make, ledger, folder
        self._work: Work[Any, Any] | None = None

    def __call__(self, batch: Any) -> Any:
        import ray  # noqa: PLC0415 - takes a second

        numbers = cast("list[int]", batch["number"].to_pylist())
        items = dict(zip(numbers, batch["item"].to_pylist(), strict=True))
        told, hopeless = ray.get([self._ledger.known.remote(numbers), self._ledger.is_hopeless.remote()])
        known = dict(zip(numbers, cast("list[tuple[int, bytes | None]]", told), strict=True))
        outcomes = {number: outcome for number, (_, outcome) in known.items() if outcome is not None}
        if hopeless:
            outcomes = dict.fromkeys(numbers, pickle.dumps(_Refused(_DYING)))
        left = [number for number in numbers if number not in outcomes]
        outcomes |= {number: pickle.dumps(Lost(known[number][0])) for number in left if known[number][0] >= LOSSES}
        left = [number for number in left if number not in outcomes]
        alone = any(known[number][0] for number in left)  # to find out over which of them a worker died
        for some in [[number] for number in left] if alone else [left] if left else []:
            ray.get(self._ledger.begin.remote(some))  # waited for: this process may die before it is sent
            found = self._tried([pickle.loads(items[number]) for number in some])  # noqa: S301
            ended = {number: pickle.dumps(outcome) for number, outcome in zip(some, found, strict=True)}
            self._ledger.end.remote(ended)
            outcomes |= ended
        ordered = [outcomes[number] for number in numbers]
        tables: Any = pa  # it has no types
        return tables.table({"number": numbers, "outcome": tables.array(ordered, tables.binary())})

    def _tried(self, items: list[Any]) -> list[Any]:
        try:
            if self._work is None:
                _enter(self._folder)
                self._work = self._make()
            return self._work(items)
        except RelationAdapterError as error:
            return [_Refused(str(error)) for _ in items]


def _enter(folder: str) -> None:
    """Go to the folder that the command's relative paths begin in.

    Raises:
        RelationAdapterError: it is not on this machine.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        raise RelationAdapterError(
            f"A worker cannot go to the folder '{printable(folder)}', in which the command runs "
            f"({error.strerror or error}). Expected the same paths on every machine: run the command in a folder that "
            "all of them share."
        ) from error


def spread(
    where: Cluster, items: Sequence[Item], make: Callable[[], Work[Item, Outcome]], together: int = 1
) -> Generator[tuple[Item, Outcome | Lost]]:
    """Have items done by workers, and give each outcome once, as it arrives.

    What a worker that dies had not finished is done again by another: doing an item twice must do no harm.

    Args:
        where: the workers.
        items: what can be pickled.
        make: makes a worker ready, in its process.
        together: items that a worker gets at a time.

    Raises:
        RelationAdapterError: a worker raised it: it cannot be made ready, or all items would fail; or it failed, or
            workers died over each of the first items.
    """
    if not items:
        return
    import ray  # noqa: PLC0415 - takes a second
    import ray.data  # noqa: PLC0415

    ledger: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Ledger).remote()
    rows = [{"number": number, "item": pickle.dumps(item)} for number, item in enumerate(items)]
    share = len(rows) // (where.workers * _ROUNDS)
    each = max(1, together, min(share, _AT_A_TIME))
    blocks = -(-len(rows) // each)
    done: Any = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        _Worker,
        fn_constructor_args=(make, ledger, str(Path.cwd())),
        batch_size=together,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(where.workers, blocks)),
        num_cpus=where.cores,
        num_gpus=where.cards,
    )
    for number, outcome in _rows(done):
        if isinstance(outcome, _Refused):
            raise RelationAdapterError(outcome.message)
        yield items[number], outcome


def _rows(done: Any) -> Generator[tuple[int, Any]]:
    """Give outcomes with their items' numbers.

    Raises:
        RelationAdapterError: a worker failed in a way that nobody foresaw.
    """
    import ray.exceptions  # noqa: PLC0415 - takes a second

    rows = iter(done.iter_rows())
    while True:
        try:
            row = next(rows, None)
        except ray.exceptions.RayError as error:
            told = re.findall(r"^\s*(\w+(?:Error|Exception): .+)$", str(error), re.MULTILINE)
            reason = printable(told[-1] if told else str(error).strip().partition("\n")[0])[:300]
            raise RelationAdapterError(
                f"A worker of Ray failed ({reason}). Expected this project's libraries and the same files on every "
                "machine: check the worker's."
            ) from error
        if row is None:
            return
        yield row["number"], pickle.loads(row["outcome"])  # noqa: S301
