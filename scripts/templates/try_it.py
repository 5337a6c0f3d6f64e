"""The workflow to begin with: the small model that comes with the pack, and nothing to fetch."""

from __future__ import annotations

from .template import OURS, Group, Node, Template, note

START_NOTE = """## Try it now: nothing to download

Press **Run**. *Example Pictures* draws a pair of pictures that shows an edit, and another scene; the small model, \
which comes with this pack, makes the same edit of that scene.

**Another edit?** Choose one in *Example Pictures*. **Another scene?** Press **Run** again: *source_scene* counts up.

The model knows drawn scenes of 64x64 pixels and reads no text; 4 steps suffice. For your own pictures, take \
*relation_transfer* and FLUX.1-dev.
"""


def _enlarged(key: str, box: tuple[int, int, int, int], image: str) -> Node:
    widgets = {"upscale_method": "lanczos", "scale_by": 4.0}
    return Node(key, "ImageScaleBy", box, "Enlarge, to look at", widgets, {"image": image})


TRY_IT = Template(
    "try_it_small",
    [
        note("start", (0, 0, 600, 364), "The same edit, on another picture", START_NOTE),
        # 1 Models
        Node("small", "LoadSmallRelationModel", (0, 464, 290, 82), colour=OURS),
        Node("prompt", "RelationEmptyPrompt", (310, 464, 290, 82), links={"model": "small.model"}, colour=OURS),
        # 2 The pair and the source
        Node(
            "example",
            "RelationExample",
            (660, 0, 290, 182),
            widgets={"edit": "recolour_red"},
            colour=OURS,
        ),
        Node(
            "exemplar",
            "RelationExemplarEncode",
            (660, 232, 290, 142),
            links={
                "relation_adapter": "small.relation_adapter",
                "before": "example.before",
                "after": "example.after",
            },
            colour=OURS,
        ),
        Node(
            "source_encode",
            "RelationSourceEncode",
            (660, 424, 290, 122),
            widgets={"long_side": 0},
            links={"conditioning": "prompt.conditioning", "vae": "small.vae", "image": "example.source"},
            colour=OURS,
        ),
        # 3 Sampling
        Node(
            "apply",
            "ApplyRelationAdapter",
            (1010, 0, 290, 194),
            links={"model": "small.model", "relation": "exemplar.relation"},
            colour=OURS,
        ),
        Node(
            "guider",
            "BasicGuider",
            (1010, 241, 290, 46),
            links={"model": "apply.model", "conditioning": "source_encode.conditioning"},
        ),
        Node(
            "scheduler",
            "RelationScheduler",
            (1010, 334, 290, 82),
            widgets={"steps": 4},
            links={"latent": "source_encode.latent"},
            colour=OURS,
        ),
        Node(
            "noise",
            "RandomNoise",
            (1320, 0, 260, 82),
            "Seed",
            {"noise_seed": 1000, "control_after_generate": "fixed"},
        ),
        Node("euler", "KSamplerSelect", (1320, 122, 260, 58), widgets={"sampler_name": "euler"}),
        Node(
            "sampler",
            "SamplerCustomAdvanced",
            (1320, 220, 260, 106),
            "Sampler",
            links={
                "noise": "noise.NOISE",
                "guider": "guider.GUIDER",
                "sampler": "euler.SAMPLER",
                "sigmas": "scheduler.sigmas",
                "latent_image": "source_encode.latent",
            },
        ),
        Node("decode", "VAEDecode", (1320, 366, 260, 46), links={"samples": "sampler.output", "vae": "small.vae"}),
        _enlarged("enlarge", (1320, 464, 260, 82), "decode.IMAGE"),
        Node(
            "comparison",
            "RelationComparison",
            (1010, 460, 290, 86),
            links={
                "before": "example.before",
                "after": "example.after",
                "source": "example.source",
                "result": "enlarge.IMAGE",
            },
            colour=OURS,
        ),
        # 4 The result
        Node(
            "save",
            "SaveImage",
            (660, 660, 450, 330),
            "Result",
            {"filename_prefix": "try_it_small/result"},
            {"images": "enlarge.IMAGE"},
        ),
        _enlarged("enlarge_target", (1130, 660, 450, 82), "example.target"),
        Node("target", "PreviewImage", (1130, 792, 450, 198), "Target", links={"images": "enlarge_target.IMAGE"}),
        Node("show", "PreviewImage", (0, 660, 600, 330), "Comparison", links={"images": "comparison.image"}),
    ],
    [
        Group("1  The small model", ("small", "prompt")),
        Group("2  The pair and the source", ("example", "exemplar", "source_encode")),
        Group(
            "3  Sampling",
            ("apply", "guider", "scheduler", "noise", "euler", "sampler", "decode", "enlarge", "comparison"),
        ),
        Group("4  The result, beside what it should be", ("show", "save", "enlarge_target", "target")),
    ],
)
