"""Texts of many pictures in one file: a JSON object by the pictures' paths, such as kohya's ``meta_cap.json``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from posixpath import dirname, normpath, splitext
from typing import Any, cast

from relation_core.files.json_file import read_json
from relation_core.pictures.picture_file import readable_suffixes

from .captions import Caption, CaptionError, caption_of
from .problems import Problem
from .tree import Tree

_MOST = 128 << 20
_TAGS = "tags"
"""What kohya's tools write where a picture has no caption, or beside one."""
_ROOTED = re.compile(r"/|[A-Za-z]:/")
"""How an absolute path begins."""


@dataclass(frozen=True)
class CaptionTable:
    """A file that says what the edits of many pairs are."""

    file: str
    """Its path relative to the dataset."""
    captions: dict[str, set[Caption]]
    """By the pictures' paths as they stand there, without their endings."""
    pictures: Collection[str]
    """Those of the dataset, relative to it and without their endings."""

    def find(self, path: str) -> Caption | None:
        """Find what is said of a picture, or of the name that a pair's pictures share.

        Args:
            path: relative to the dataset, without the ending.

        Raises:
            CaptionError: entries that may be meant say different things.
        """
        path = without_ending(path)
        found = self._relative.get(path)
        if found is None:
            keys = (key for key in self._from_outside.get(path.rpartition("/")[2], ()) if key.endswith(f"/{path}"))
            found = {caption for key in keys for caption in self.captions[key]}
        if len(found) > 1:
            raise CaptionError(f"'{self.file}' has several texts for '{path}'; expected one")
        return next(iter(found), None)

    @cached_property
    def _relative(self) -> dict[str, set[Caption]]:
        """By path relative to the dataset: keys are relative to the file, or with folders in them to the dataset."""
        keys = [key for key in self.captions if not _ROOTED.match(key)]
        below = {key: self.captions[key] for key in keys if "/" in key}
        return below | {self._beside(key): self.captions[key] for key in keys}

    @cached_property
    def _from_outside(self) -> dict[str, list[str]]:
        """Paths that begin at a folder outside the dataset, by their last part."""
        found: dict[str, list[str]] = {}
        for key in self.captions:
            if "/" in key and key not in self.pictures and self._beside(key) not in self.pictures:
                found.setdefault(key.rpartition("/")[2], []).append(key)
        return found

    def _beside(self, key: str) -> str:
        return normpath(f"{dirname(self.file)}/{key}".lstrip("/"))


@dataclass
class CaptionTables:
    """The files of a dataset that say what the edits of many pairs are, each read once."""

    tree: Tree
    _read: dict[str, CaptionTable | Problem | None] = field(default_factory=dict[str, "CaptionTable | Problem | None"])

    def in_folders(self, folders: Collection[str], left_out: Collection[str]) -> Iterator[CaptionTable | Problem]:
        """Yield those that lie in some folders, and a problem for each that cannot be read and was not looked at yet.

        Args:
            folders: paths relative to the dataset; empty for the dataset itself.
            left_out: files that are texts of single pairs.
        """
        for folder in dict.fromkeys(folders):
            for file in self._files.get(folder, ()):
                if file in left_out:
                    continue
                first = file not in self._read
                if first:
                    self._read[file] = self._open(file)
                found = self._read[file]
                if isinstance(found, CaptionTable) or (first and found is not None):
                    yield found

    def _open(self, file: str) -> CaptionTable | Problem | None:
        try:
            fields: Any = read_json(self.tree.root / file, _MOST)
        except OSError as error:
            return Problem("broken", file, "", f"it cannot be read: {error.strerror or error}")
        except ValueError as error:
            return Problem("broken", file, "", f"it is no usable JSON: {error}")
        captions: dict[str, set[Caption]] = {}
        for key, value in cast("dict[str, Any]", fields).items() if isinstance(fields, dict) else ():
            caption = _caption(value)
            if caption.instruction:
                captions.setdefault(without_ending(key), set()).add(caption)
        return CaptionTable(file, captions, self._pictures) if captions else None

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        """By their folders."""
        found: dict[str, list[str]] = {}
        for file in self.tree.files:
            if file.lower().endswith(".json"):
                found.setdefault(dirname(file), []).append(file)
        return found

    @cached_property
    def _pictures(self) -> frozenset[str]:
        return frozenset(without_ending(file) for file in self.tree.files if _is_picture(file))


def without_ending(path: str) -> str:
    """A path as tables are searched for it: without a picture's ending; other names may have points in them."""
    path = unicodedata.normalize("NFC", path.replace("\\", "/")).removeprefix("./")
    return splitext(path)[0] if _is_picture(path) else path


def _is_picture(path: str) -> bool:
    return splitext(path)[1].lower() in readable_suffixes()


def _caption(value: Any) -> Caption:
    if isinstance(value, str):
        return Caption(value.strip())
    known = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return caption_of(known, (_TAGS,))
