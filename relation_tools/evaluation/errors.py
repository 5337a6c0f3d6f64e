"""Errors between samples and servers."""

from __future__ import annotations

from relation_core.errors import RelationAdapterError


class EvaluationError(RelationAdapterError):
    """The evaluation cannot go on."""


class ServerDownError(EvaluationError):
    """A server does not answer."""


class PromptRefusedError(EvaluationError):
    """A server refuses a prompt: the workflow does not fit it."""


class PromptFailedError(EvaluationError):
    """A node failed while a prompt was executed, or it was interrupted."""


class PromptLostError(EvaluationError):
    """A server has lost a prompt that it had accepted: it was restarted."""


class SampleBrokenError(EvaluationError):
    """A sample cannot be sent: trying again does not help."""
