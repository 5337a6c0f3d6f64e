"""The pack's nodes as the page gets them from ``/object_info``."""

from __future__ import annotations

import json
from typing import Any

from .host import Host


def our_nodes(host: Host) -> list[str]:
    """Ids of the nodes that come from this pack, in the order in which it lists them."""
    pack = host.node_classes["ApplyRelationAdapter"].__module__.rsplit(".nodes.", 1)[0]
    return [name for name, node in host.node_classes.items() if node.__module__.startswith(f"{pack}.")]


def info_of(host: Host, name: str) -> dict[str, Any]:
    """What the server sends the page about a node."""
    return json.loads(json.dumps(host.node_classes[name].GET_NODE_INFO_V1()))


def inputs_of(info: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any], bool]]:
    """Type, options and whether it may be left open, of every input that the page shows."""
    found = {}
    for group in ("required", "optional"):
        for name, (kind, *options) in info["input"].get(group, {}).items():
            details = dict(options[0]) if options else {}
            if isinstance(kind, list):  # a menu in the older form
                details["options"] = kind
            found[name] = ("COMBO" if isinstance(kind, list) else kind, details, group == "optional")
    return found
