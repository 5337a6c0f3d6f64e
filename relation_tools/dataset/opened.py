"""A dataset as people have it, opened: told by looking, and unpacked where it is packed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from relation_core.errors import DatasetError

from .archive_pairs import SIDES, folders_of_two, grouped, holds_pictures
from .archives import ARCHIVES, OTHERS, stem_of
from .budget import Budget
from .layouts import KNOWN, Layout, find_layout, is_packed, layout_of_file, read_layout, tree_of_file
from .pair_entry import PairEntry, task_of_double, task_of_packed, task_of_two
from .problems import Problem
from .roles import role_of, split_role
from .tree import Tree, look_through
from .unlisted import unlisted
from .unpacking import Packed, unpack

_LOG = logging.getLogger(__name__)
_LEVELS = 2
"""How often something is unpacked: an archive, and the tables and shards in it."""

_WITHIN = ".within"
"""Where archives in archives are unpacked to; hidden, so that no folder of a dataset has this name."""


@dataclass(frozen=True)
class Part:
    """A folder of one layout, or one file."""

    tree: Tree
    layout: Layout
    dataset: str
    """Its name, for pairs that nothing else names a task of."""
    budget: Budget | None = None
    """What is left of the budget of the archive that it lay in."""
    inside: str = ""
    """Its path below the opened dataset's root; empty for the root itself."""
    shown: str = ""
    """What comes before its files' names in messages: the archive that it lay in."""
    alone: bool = False
    """Whether it is one file, beside which anything may lie."""


@dataclass(frozen=True)
class OpenedDataset:
    """A dataset that can be read."""

    root: Path
    """The folder that pictures' paths are relative to."""
    parts: tuple[Part, ...]
    problems: tuple[Problem, ...]
    """What could not be opened."""

    def entries(self) -> Iterator[PairEntry | Problem]:
        """Yield the entries in the order of their files, and a problem for each one that is broken."""
        yield from self.problems
        for part in self.parts:
            for found in read_layout(part.tree, part.layout, part.dataset):
                yield _entry_placed(found, part) if isinstance(found, PairEntry) else _problem_placed(found, part)

    def unlisted(self, listed: set[str]) -> Iterator[Problem]:
        """Yield a note for all pictures and lists that are no part of an entry.

        Args:
            listed: the pictures of entries, relative to the root.
        """
        for part in self.parts:
            if not part.alone:
                prefix = f"{part.inside}/" if part.inside else ""
                for found in unlisted(part.tree, part.layout, prefix, listed):
                    yield _problem_placed(found, part)


def open_dataset(pairs: Path, out: Path, work: Path) -> OpenedDataset:
    """Tell a dataset's layout, and unpack what is packed.

    Args:
        pairs: a folder or a file.
        out: the folder of the build, which may lie in it and is no part of it.
        work: the folder to unpack to.

    Raises:
        DatasetError: it has no layout that is known, or cannot be unpacked.
        OSError: a folder cannot be read.
    """
    first = _first_part(pairs, out)
    if not first.layout.packed:
        return OpenedDataset(first.tree.root, (first,), ())
    parts, problems = [first], list[Problem]()
    for level in range(_LEVELS):
        packed = [part for part in parts if part.layout.packed]
        parts = [part for part in parts if not part.layout.packed]
        if packed:
            _LOG.info("Unpacking %d files.", sum(len(part.layout.packed) for part in packed))
        for part in packed:
            for files in grouped(part.layout.packed):
                found = (_unpacked if len(files) == 1 else _unpacked_two)(part, files, work, level)
                parts += [one for one in found if isinstance(one, Part)]
                problems += [one for one in found if isinstance(one, Problem)]
    for part in (part for part in parts if part.layout.packed):
        problems.append(Problem("broken", part.shown, "", "it holds archives in archives; unpack it once, yourself"))
    return OpenedDataset(work, tuple(part for part in parts if not part.layout.packed), tuple(problems))


def _first_part(pairs: Path, out: Path) -> Part:
    if pairs.name.lower().endswith(OTHERS) and not is_packed(pairs.name):
        raise DatasetError(
            f"'{pairs}': archives of this kind are not read; expected {', '.join(ARCHIVES)}. Unpack it and give the "
            "folder."
        )
    if pairs.is_file():
        layout, around = layout_of_file(pairs), name_of_folder(pairs.parent)
        dataset = task_of_packed(stem_of(pairs.name), around) if layout.packed else around
        return Part(tree_of_file(pairs), layout, dataset, alone=True)
    if not pairs.is_dir():
        raise DatasetError(f"There is no file or folder '{pairs}'. Give a paired dataset: {KNOWN}.")
    tree = look_through(pairs, out)
    layout = find_layout(tree)
    if layout is None:
        raise DatasetError(f"The folder '{pairs}' holds no paired dataset. Expected one of these in it: {KNOWN}.")
    return Part(tree, layout, name_of_folder(pairs))


def name_of_folder(folder: Path) -> str:
    """Name a dataset after its folder, or the one around a group."""
    place = folder.resolve()
    return next((name for name in (place.name, place.parent.name) if task_of_double([name])), place.name)


def _unpacked(part: Part, files: tuple[str, ...], work: Path, level: int) -> list[Part | Problem]:
    (file,) = files
    shown = f"{part.shown}/{file}" if part.shown else file
    inside = f"{_WITHIN}/{shown}" if level else shown
    budget, problems = _unpack(part, file, work, inside)
    found: list[Part | Problem] = [*problems]
    tree = look_through(work / inside)
    layout = find_layout(tree)
    if layout is not None:
        folders = (*PurePosixPath(file).parent.parts, task_of_packed(stem_of(PurePosixPath(file).name), ""))
        top, dataset = _top_folder(tree, task_of_two(filter(None, folders)) or part.dataset)
        if top:
            tree, inside, shown = look_through(work / inside / top), f"{inside}/{top}", f"{shown}/{top}"
            layout = find_layout(tree) or layout
        found.append(Part(tree, layout, dataset, budget, inside, shown))
    elif not any(isinstance(one, Problem) and one.kind == "broken" for one in found):
        found.append(Problem("broken", shown, "", f"it holds no paired dataset; expected one of these in it: {KNOWN}"))
    return found


def _unpacked_two(part: Part, files: tuple[str, ...], work: Path, level: int) -> list[Part | Problem]:
    """Unpack two archives, of the pictures before and after, beside each other."""
    names = " + ".join((files[0], *(PurePosixPath(file).name for file in files[1:])))
    shown = f"{part.shown}/{names}" if part.shown else names
    inside = f"{_WITHIN}/{shown}" if level else shown
    found: list[Part | Problem] = []
    for side, file in zip(SIDES, files, strict=True):
        found += _unpack(part, file, work, f"{inside}/{side}")[1]
    tree = look_through(work / inside)
    if holds_pictures(tree):
        shared = split_role(stem_of(PurePosixPath(files[0]).name)) or ("",)
        folders = (*PurePosixPath(files[0]).parent.parts, shared[0])
        layout, dataset = Layout(folders=(folders_of_two(tree),)), task_of_two(filter(None, folders)) or part.dataset
        found.append(Part(tree, layout, dataset, part.budget, inside, shown))
    elif not found:
        found.append(Problem("broken", shown, "", "they hold no pictures; expected pictures of equal names in both"))
    return found


def _unpack(part: Part, file: str, work: Path, inside: str) -> tuple[Budget, list[Problem]]:
    """Unpack a file of a part; give what is left of its budget, and what cannot be used."""
    path = part.tree.root / file
    shown = f"{part.shown}/{file}" if part.shown else file
    budget = part.budget or Budget(path.stat().st_size if path.is_file() else 0)
    record = work / "records" / f"{blake2b(inside.encode(errors='surrogatepass'), digest_size=16).hexdigest()}.json"
    return budget, unpack(Packed(path, shown, work / inside, record), budget)


def _top_folder(tree: Tree, dataset: str) -> tuple[str, str]:
    """Give the folder that an archive was made of, if all lies in one, and the dataset's name by it."""
    top, folders = "", tree.folders()
    while len(names := folders.get(top, [])) == 1:
        inner = f"{top}/{names[0]}".lstrip("/")
        is_task = any(not task_of_double([name]) for name in folders.get(inner, []))
        if len(tree.below(inner)) < len(tree.files) or is_task or role_of(names[0]) is not None:
            break
        top, dataset = inner, task_of_packed(names[0], dataset)
    return top, dataset


def _entry_placed(entry: PairEntry, part: Part) -> PairEntry:
    """Give an entry of an unpacked part its place in the whole."""
    if not part.inside:
        return entry
    after = f"{part.inside}/{entry.after}" if entry.after else ""
    return replace(entry, where=_where(entry.where, part), picture=f"{part.inside}/{entry.picture}", after=after)


def _problem_placed(found: Problem, part: Part) -> Problem:
    picture = f"{part.inside}/{found.picture}" if found.picture and part.inside else found.picture
    return replace(found, where=_where(found.where, part), picture=picture)


def _where(where: str, part: Part) -> str:
    if not part.shown:
        return where
    return part.shown if where == "." else sys.intern(f"{part.shown}/{where}")
