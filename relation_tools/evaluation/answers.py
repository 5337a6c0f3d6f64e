"""Read ComfyUI's answers."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from .errors import EvaluationError, PromptFailedError, PromptRefusedError
from .transport import one_line


@contextlib.contextmanager
def understanding(address: str) -> Generator[None]:
    """Report answers that do not have ComfyUI's form.

    Raises:
        PromptFailedError: the block met one.
    """
    try:
        yield
    except EvaluationError:
        raise
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise PromptFailedError(
            f"{address} does not answer like ComfyUI ({one_line(repr(error), 200)}). Check that it is one."
        ) from error


def refusal(answer: Any) -> str:
    """Put ComfyUI's answer to an invalid prompt in a sentence."""
    error: dict[str, Any] = answer.get("error") or {}
    nodes: dict[str, Any] = answer.get("node_errors") or {}
    details = [
        f"node {name} ({node.get('class_type')}): {one.get('message')}: {one.get('details')}"
        for name, node in nodes.items()
        for one in node.get("errors", [])
    ]
    return "; ".join(details) or f"{error.get('message')}: {error.get('details')}"


def outputs_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs of a finished prompt, by node.

    Raises:
        PromptFailedError: a node failed, or it was interrupted.
    """
    status: dict[str, Any] = entry.get("status") or {}
    if status.get("status_str") == "success":
        return entry["outputs"]
    messages: dict[str, dict[str, Any]] = dict(status.get("messages", []))
    failure = messages.get("execution_error")
    if failure is None:
        raise PromptFailedError("The prompt was interrupted.")
    words = [str(failure[key]).strip() for key in ("node_type", "exception_type", "exception_message")]
    raise PromptFailedError(one_line(": ".join(words), 2000))


def result_picture(outputs: dict[str, Any], node: str | None) -> dict[str, str]:
    """Choose the picture that is the result: that of ``node``, or else of the only node that has one.

    Raises:
        PromptRefusedError: there is none, or more than one.
    """
    pictures = {name: output["images"] for name, output in outputs.items() if output.get("images")}
    chosen = pictures.get(node, []) if node is not None else [one for found in pictures.values() for one in found]
    if len(chosen) != 1:
        raise PromptRefusedError(
            f"The workflow put out {len(chosen)} pictures; expected one. Give the node that saves the result the title "
            "'result', and let it save a single picture."
        )
    return chosen[0]
