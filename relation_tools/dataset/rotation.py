"""Ordered pairs of pictures by rotation (paper, section 3.4: "sampled and arranged via rotational permutation")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import TypeVar

Item = TypeVar("Item")


def shuffled(items: Iterable[Item], name: Callable[[Item], str], *key: object) -> list[Item]:
    """Order items by a hash of the key and their names.

    Unlike a random generator's, the order does not depend on Python's version or the input order, and adding or
    removing an item does not change the order of the others.
    """
    salt = "\0".join(map(str, key)).encode(errors="surrogatepass")

    def place(item: Item) -> bytes:
        return blake2b(salt + b"\0" + name(item).encode(errors="surrogatepass"), digest_size=16).digest()

    return sorted(items, key=place)


def rotation(count: int, limit: int | None, seed: object) -> Iterator[tuple[int, int]]:
    """Yield ordered pairs (exemplar, source) of different numbers below ``count``, each pair once.

    Round after round, every picture is the exemplar of the one a fixed distance after it; each round has another
    distance, in an order given by the seed. So, wherever ``limit`` stops, pictures serve as exemplar, and as source,
    equally often to within one.
    """
    left = count * (count - 1) if limit is None else min(limit, count * (count - 1))
    for distance in shuffled(range(1, count), str, seed, "distance"):
        for exemplar in range(min(count, left)):
            yield exemplar, (exemplar + distance) % count
        left -= min(count, left)
        if left == 0:
            return
