"""The errors a user can meet, all of one base class."""

from __future__ import annotations


class RelationAdapterError(ValueError):
    """Base class of every error that this project raises on purpose.

    A message says what was found, what was expected and what to do about it, on one line. It may quote files, so line
    ends and control characters in it are shown as escapes.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class CheckpointError(RelationAdapterError):
    """A file on disk is damaged, unsafe, or of another kind than expected."""


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


class SamplingInputError(RelationAdapterError):
    """A latent or a prompt that is to be sampled is not FLUX.1's."""


class BatchMismatchError(RelationAdapterError):
    """A batch of source pictures does not match the latents that are sampled."""


class RelationMismatchError(RelationAdapterError):
    """Two relations, or a relation and an adapter, do not match."""


class DatasetError(RelationAdapterError):
    """A dataset cannot be read or written."""


def printable(text: str) -> str:
    r"""Make untrusted text safe to show: on one line, without control characters.

    Control characters, marks that change the direction of text, and lone surrogates become escapes, such as ``\x1b``;
    letters of any script stay.
    """
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
