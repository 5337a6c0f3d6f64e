"""A real ComfyUI inside the test process: its nodes, its executor, its model management."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from .find import PACK
from .graph import Graph, Node

PROBES = Path(__file__).resolve().parent / "probe_nodes"


class PackNotLoadedError(Exception):
    """ComfyUI runs, but without the pack's nodes."""


class GraphError(Exception):
    """A graph was refused, or a node in it failed."""


def require_loaded(node_classes: Mapping[str, Any]) -> None:
    """Raise PackNotLoadedError unless ComfyUI took in the pack and the tests' own nodes.

    ComfyUI goes on without a pack that fails to import, and says why in its log.
    """
    missing = [name for name in ("ApplyRelationAdapter", "ProbeValue") if name not in node_classes]
    if missing:
        raise PackNotLoadedError(
            f"ComfyUI started without {' and '.join(missing)}: importing the pack failed. "
            "ComfyUI's log above names the error; mend it and try again."
        )


class Host:
    """Starts ComfyUI on a CPU with an empty base folder, and executes graphs in it."""

    def __init__(self, comfyui: Path, base: Path, *flags: str) -> None:
        (base / "custom_nodes").mkdir(parents=True)
        (base / "models" / "relation_adapter").mkdir(parents=True)
        (base / "custom_nodes" / "relation_adapter").symlink_to(PACK)
        (base / "custom_nodes" / "probe_nodes").symlink_to(PROBES)
        self.base = base
        self.input_folder = base / "input"
        self.input_folder.mkdir()
        sys.path.insert(0, str(comfyui))
        sys.argv = ["main.py", "--cpu", "--base-directory", str(base), *flags]
        os.environ["COMFYUI_DISABLE_TELEMETRY"] = "1"

        _module("comfy.options").enable_args_parsing()
        _module("utils.extra_config")  # first, as in ComfyUI's main: others have a `utils` too
        execution, nodes, server = (_module(name) for name in ("execution", "nodes", "server"))

        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._server = server.PromptServer(self._loop)
        self._loop.run_until_complete(nodes.init_extra_nodes(init_custom_nodes=True, init_api_nodes=False))
        self._execution = execution
        self._executor = execution.PromptExecutor(
            self._server,
            cache_type=execution.CacheType.CLASSIC,
            cache_args={"lru": 0, "ram": 0.0, "ram_inactive": 0.0},
        )
        self._ids = itertools.count()
        self.node_classes: dict[str, Any] = nodes.NODE_CLASS_MAPPINGS
        require_loaded(self.node_classes)
        self.store: dict[str, Any] = sys.modules[nodes.NODE_CLASS_MAPPINGS["ProbeValue"].__module__].STORE

    def module(self, name: str) -> Any:
        """A module of the pack, as this ComfyUI loaded it, such as ``relation_core.errors``."""
        pack = self.node_classes["ApplyRelationAdapter"].__module__.rsplit(".nodes.", 1)[0]
        return sys.modules[f"{pack}.{name}"]

    def model_folder(self, kind: str) -> Path:
        """The folder of a kind of model, made if need be; its listing is read anew."""
        folder = self.base / "models" / kind
        folder.mkdir(parents=True, exist_ok=True)
        self.forget_file_lists()
        return folder

    def forget_file_lists(self) -> None:
        """Read folders anew, as pressing R in the page does."""
        _module("folder_paths").filename_list_cache.clear()

    def value(self, graph: Graph, name: str, value: Any) -> Any:
        """Add a node that brings a value in."""
        self.store[name] = value
        return graph.add("ProbeValue", name=name)

    def run(self, graph: Graph, **outputs: Any) -> Any:
        """Execute a graph and return the values of the named outputs (the value itself if it is one).

        Raises:
            GraphError: with the message that a user would see.
        """
        prompt = graph.copy()
        for name, node in outputs.items():
            prompt.add("ProbeCapture", value=node, name=name)
        self.execute(prompt)
        values = [self.store.pop(name) for name in outputs]
        return values[0] if len(values) == 1 else values

    def shown(self, graph: Graph, node: Node) -> list[Image.Image]:
        """Execute a graph up to a node and return the pictures that the page shows on it."""
        prompt = graph.copy()
        prompt.add("ProbeCapture", value=node, name="shown")
        outputs = self.execute(prompt)
        return [Image.open(self.base / "temp" / item["filename"]) for item in outputs[node.name]["images"]]

    def execute(self, prompt: Graph) -> dict[str, Any]:
        """Execute a graph with output nodes of its own, and return what they show.

        Raises:
            GraphError: with the message that a user would see.
        """
        identity = f"test-{next(self._ids)}"
        valid, error, good, node_errors = self._loop.run_until_complete(
            self._execution.validate_prompt(identity, prompt.nodes, None)
        )
        if not valid or node_errors:
            raise GraphError(f"refused: {error} {node_errors}")
        self._executor.execute(prompt.nodes, identity, {}, good)
        if not self._executor.success:
            raise GraphError(self._message())
        return self._executor.history_result["outputs"]

    def _message(self) -> str:
        for event, data in self._executor.status_messages:
            if event == "execution_error":
                return f"{data['exception_type']}: {data['exception_message']}"
        return "interrupted"


def _module(name: str) -> Any:
    """A module of ComfyUI, which is untyped and hides some of this checkout's names, such as ``nodes``."""
    return importlib.import_module(name)
