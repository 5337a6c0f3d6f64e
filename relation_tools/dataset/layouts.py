"""Tells by looking in which of the known ways a dataset is laid out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .archives import ARCHIVES
from .caption_tables import CaptionTables
from .listings import HUB, IMAGE_FOLDER, LISTS, Listed, listed_in, lists_pairs, read_listing
from .pair_entry import PairEntry
from .paired_folders import PairedFolders, find_paired_folders, read_paired_folders
from .paired_names import Samples, find_paired_names, read_paired_names
from .problems import Problem
from .table_file import TABLES, is_table
from .tables import embeds_pairs
from .tree import Tree

KNOWN = (
    "<task>/Group1/labels.json; a .jsonl, .json or .csv that lists pictures; two folders such as 'before' and "
    "'after' with pictures of equal names; pictures such as '1.before.png' and '1.after.png'; or .parquet, .zip or "
    ".tar files, such as 'before.zip' and 'after.zip'"
)


@dataclass(frozen=True)
class Layout:
    """How a dataset is laid out: one of these is not empty."""

    lists: tuple[str, ...] = ()
    folders: tuple[PairedFolders, ...] = ()
    names: Samples = field(default_factory=Samples)
    packed: tuple[str, ...] = ()
    """Archives and tables that have to be unpacked first."""

    @property
    def read(self) -> tuple[str, ...]:
        """The files that are read in place of others of their kind."""
        return self.lists + self.packed


def is_packed(name: str) -> bool:
    """Tell whether a file is an archive or a table."""
    return name.lower().endswith((*ARCHIVES, *TABLES))


def layout_of_file(file: Path) -> Layout:
    """Give the layout that a single file has."""
    listed = not is_packed(file.name) or (is_table(file) and lists_pairs(file))
    return Layout(lists=(file.name,)) if listed else Layout(packed=(file.name,))


def find_layout(tree: Tree) -> Layout | None:
    """Find a folder's layout; None if there is none that is known.

    Where a folder fits several, what names pictures goes before what holds them, and plain files before packed ones.
    """
    hub = _named(tree, HUB)
    if hub:
        return Layout(lists=hub)
    lists = [name for name in tree.files if name.lower().endswith(LISTS)]
    described = [name for name in _named(tree, IMAGE_FOLDER) if lists_pairs(tree.root / name)]
    top = [name for name in lists if "/" not in name]
    usable = described or [name for name in top if lists_pairs(tree.root / name)]
    if usable:
        return Layout(lists=tuple(usable))
    folders = find_paired_folders(tree)
    if folders:
        return Layout(folders=tuple(folders))
    packed = _packed(tree)
    if packed:
        return packed
    names = find_paired_names(tree)
    if names:
        return Layout(names=names)
    deep = [name for name in lists if lists_pairs(tree.root / name)]
    found = deep or top or list(_named(tree, IMAGE_FOLDER))
    return Layout(lists=tuple(found)) if found else None


def _packed(tree: Tree) -> Layout | None:
    """The layout of a folder of tables, with pictures or their names in them, or else of archives."""
    tables = tuple(name for name in tree.files if is_table(tree.root / name))
    found = {name: listed_in(tree.root / name) for name in tables}
    if Listed.PAIRS in found.values() or (
        Listed.UNCLEAR in found.values() and not any(embeds_pairs(tree.root / name) for name in tables)
    ):  # reading them says what is damaged or unclear
        return Layout(lists=tuple(name for name, listed in found.items() if listed is not Listed.NOTHING))
    packed = tables or tuple(name for name in tree.files if name.lower().endswith(ARCHIVES))
    return Layout(packed=packed) if packed else None


def read_layout(tree: Tree, layout: Layout, dataset: str) -> Iterator[PairEntry | Problem]:
    """Yield the entries of a dataset that need not be unpacked, and a problem for each one that is broken.

    Args:
        tree: its files.
        layout: how they are laid out.
        dataset: the dataset's name, for pairs that nothing else names a task of.
    """
    for file in layout.lists:
        yield from read_listing(tree.root, file, dataset)
    tables = CaptionTables(tree)
    yield from read_paired_folders(tables, layout.folders, dataset)
    yield from read_paired_names(tables, layout.names, dataset)


def tree_of_file(file: Path) -> Tree:
    """Give a dataset that is one file: what lies beside it is no part of it."""
    return Tree(file.parent, (file.name,), ())


def _named(tree: Tree, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(file for file in tree.files if file.rpartition("/")[2] in names)
