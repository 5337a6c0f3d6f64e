"""The errors a user can meet, all of one base class."""

from __future__ import annotations


class RelationAdapterError(ValueError):
    """Base of every error that this project raises on purpose.

    A message says what was found, what was expected and what to do about it. It may name files and quote them, so what
    a terminal would obey in it is shown as an escape.
    """

    def __str__(self) -> str:
        return "\n".join(printable(line) for line in super().__str__().split("\n"))


class CheckpointError(RelationAdapterError):
    """A file on disk is not what it should be: damaged, unsafe, or of another kind."""


class DownloadError(RelationAdapterError):
    """A file cannot be downloaded."""


class ExemplarError(RelationAdapterError):
    """The pictures given do not form exemplar pairs."""


class PictureError(RelationAdapterError):
    """A picture file cannot be read.

    Args:
        name: what to call the picture in the message.
        reason: what is wrong with it; lists of many pictures show this alone.
        remedy: what was expected and what to do, in whole sentences.
    """

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(name, reason, remedy)
        self.name, self.reason, self.remedy = name, reason, remedy

    def __str__(self) -> str:
        return printable(f"Cannot read {self.name}: {self.reason}. {self.remedy}")


class ModelMismatchError(RelationAdapterError):
    """The model and the relation do not fit each other."""


class BatchMismatchError(RelationAdapterError):
    """A batch of pictures and the latents that are sampled do not belong together."""


class RelationMismatchError(RelationAdapterError):
    """Two relations, or a relation and an adapter, do not belong together."""


class DatasetError(RelationAdapterError):
    """A dataset, or what should be one, cannot be read or written at all."""


def printable(text: str) -> str:
    r"""Make text that a stranger wrote fit to be shown: on one line, with nothing in it that a terminal would obey.

    Control characters, marks that turn the direction of writing, and lone surrogates are shown as escapes, such as
    ``\x1b``; letters of any script stay.
    """
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
