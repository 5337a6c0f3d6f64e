"""The errors a user can meet, all of one base class."""

from __future__ import annotations


class RelationAdapterError(ValueError):
    """Base of every error that this project raises on purpose.

    A message says what was found, what was expected and what to do about it.
    """


class CheckpointError(RelationAdapterError):
    """A file on disk is not what it should be: damaged, unsafe, or of another kind."""


class DownloadError(RelationAdapterError):
    """A file cannot be downloaded."""


class ExemplarError(RelationAdapterError):
    """The pictures given do not form exemplar pairs."""


class ModelMismatchError(RelationAdapterError):
    """The model and the relation do not fit each other."""


class RelationMismatchError(RelationAdapterError):
    """Two relations, or a relation and an adapter, do not belong together."""


class DatasetError(RelationAdapterError):
    """A dataset, or what should be one, cannot be read or written at all."""
