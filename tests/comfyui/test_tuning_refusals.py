"""What a relation cannot be learned from in ComfyUI, and how that is said."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tuned import Tuning

from comfyui_host.host import GraphError, Host


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"after": "three"}, "There are 2 pictures before and 3 after"),
        ({"before": "none", "after": "none"}, r"Got a picture of shape \(0, 128, 128, 3\); expected"),
        ({"after": "wider"}, "have 128x128 and 144x128 pixels; expected one size"),
        ({"after": "before"}, "The pictures of pair 1 are equal"),
        ({"after": "one equal"}, "The pictures of pair 2 are equal"),
        ({"steps": 0}, "refused: .* 0 .*min"),
        ({"batch_size": 0}, "refused: .* 0 .*min"),
        ({"learning_rate": math.nan}, "Got .* nan|nan"),
        ({"after": "speck", "long_side": 16}, "pair 1 are equal at the size that is learned from"),
        ({"learning_rate": 1e6}, "lower the learning rate"),
        ({"relation": "other"}, "The relation to start from was made with the adapter"),
        ({"conditioning": "two"}, "not a plain prompt: it has 2 entries"),
        ({"conditioning": "source"}, "not a plain prompt: it has reference_latents"),
        ({"conditioning": "foreign"}, r"has text of the shape \(1, 77, 768\); this Flux expects"),
        ({"conditioning": "nothing"}, "not a plain prompt: it has 0 entries"),
        ({"model": "chroma"}, "RelationAdapter works on FLUX.1 only"),
        ({"model": "cached"}, "Flux KV Cache sets it for the model"),
        ({"model": "wide"}, "do not fit|does not fit|expected"),
    ],
)
def test_bad_input_is_refused(host: Host, changed: dict[str, Any], says: str) -> None:
    tuning = Tuning(host, pairs=2)
    other = tuning.relation(tuning.value(tuning.before), tuning.value(tuning.after)) if "relation" in changed else None
    pictures = tuning.after
    values: dict[str, Any] = {
        "three": lambda: tuning.value(torch.cat([pictures, pictures[:1]])),
        "wider": lambda: tuning.value(torch.nn.functional.pad(pictures, (0, 0, 0, 16))),
        "none": lambda: tuning.value(pictures[:0]),
        "before": lambda: tuning.value(tuning.before),
        "one equal": lambda: tuning.value(torch.cat([pictures[:1], tuning.before[1:]])),
        "speck": lambda: tuning.value(with_speck(tuning.before)),
        "other": lambda: other,
        "two": lambda: tuning.graph.add(
            "ConditioningCombine", conditioning_1=tuning.prompt, conditioning_2=tuning.prompt
        ),
        "source": lambda: tuning.source[0],
        "foreign": lambda: tuning.value([[torch.rand(1, 77, 768), {"pooled_output": torch.rand(1, 768)}]]),
        "nothing": lambda: tuning.value([]),
        "chroma": lambda: foreign_model(tuning),
        "cached": lambda: tuning.graph.add("FluxKVCache", model=tuning.plain),
        "wide": lambda: tuning.model("one_head/transformer.safetensors"),
    }
    inputs = {name: values[value]() if isinstance(value, str) else value for name, value in changed.items()}
    with pytest.raises(GraphError, match=says):
        tuning.run(tuning.tuned(**inputs))


def with_speck(pictures: torch.Tensor) -> torch.Tensor:
    """Another value in one pixel, which 8 bits tell apart and a sixteenth of the size hardly does."""
    changed = pictures.clone()
    changed[:, 0, 0, 2] = (changed[:, 0, 0, 2] * 255).round().sub(1).abs() / 255
    return changed


def foreign_model(tuning: Tuning) -> Any:
    """The small Flux as another family's."""
    model = tuning.run(tuning.plain).clone()
    model.model = type("Chroma", (), {})()
    return tuning.value(model)
