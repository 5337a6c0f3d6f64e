"""Nodes for tests only: they bring tensors into a graph and take them out again."""

from __future__ import annotations

from typing import Any

STORE: dict[str, Any] = {}


class _Anything(str):
    """A socket type that fits every other."""

    def __ne__(self, other: object) -> bool:
        return False


ANY = _Anything("*")


class ProbeValue:
    """Bring in a value that the test put into the store."""

    RETURN_TYPES = (ANY,)
    FUNCTION = "read"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"name": ("STRING", {"default": ""})}}

    @classmethod
    def IS_CHANGED(cls, name: str) -> int:
        return id(STORE[name])

    def read(self, name: str) -> tuple[Any]:
        return (STORE[name],)


class ProbeCapture:
    """Take a value out of the graph."""

    RETURN_TYPES = ()
    FUNCTION = "keep"
    OUTPUT_NODE = True
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": (ANY,), "name": ("STRING", {"default": ""})}}

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:
        return float("nan")

    def keep(self, value: Any, name: str) -> dict[str, Any]:
        STORE[name] = value
        return {}


class ProbeNoise:
    """Make a fixed tensor the noise of SamplerCustomAdvanced."""

    RETURN_TYPES = ("NOISE",)
    FUNCTION = "make"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"tensor": (ANY,)}}

    def make(self, tensor: Any) -> tuple[Any]:
        class Noise:
            seed = 0

            def generate_noise(self, latent: dict[str, Any]) -> Any:
                return tensor.clone()

        return (Noise(),)


class ProbeAttention:
    """Record what every block's attention is after the patches before this node."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "watch"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": ("MODEL",), "name": ("STRING", {"default": ""})}}

    def watch(self, model: Any, name: str) -> tuple[Any]:
        seen: dict[tuple[str, int], list[Any]] = {}
        STORE[name] = seen

        def record(attn: Any, options: dict[str, Any]) -> Any:
            seen.setdefault((options["block_type"], options["block_index"]), []).append(attn.clone())
            return attn

        watched = model.clone()
        watched.set_model_attn1_output_patch(record)
        return (watched,)


NODE_CLASS_MAPPINGS = {
    "ProbeValue": ProbeValue,
    "ProbeCapture": ProbeCapture,
    "ProbeNoise": ProbeNoise,
    "ProbeAttention": ProbeAttention,
}
