"""The result enlarged by an upscaling model, and sampled once more at twice the size with the same relation."""

from __future__ import annotations

from .files import STANDARD, UPSCALER
from .models_note import models_note
from .template import OURS, Group, Node, Template, adapted, note
from .transfer import GROUPS, NODES

START_NOTE = """## Larger, with a second pass

The first pass makes the edit at 512 pixels, the size the adapter was trained at. An upscale model enlarges the \
result, and a second pass redraws the details at twice the size, with the same relation and source.

**1** Get the models.  **2** Choose the pair and the source, and press **Run**: the small result comes first.
"""

SECOND_NOTE = """**denoise 0.3** redraws fine detail. Above about 0.5 the shapes change; below 0.2 hardly anything \
does.

**Larger?** Set *scale_by* to 0.75 for three times the size. The time per step grows faster than the picture.

**The source** keeps its 512 pixels: its tokens are spread over the larger picture.
"""

SECOND_PASS = Template(
    "relation_upscale",
    [
        *adapted(
            NODES,
            {
                "start": {"title": "An upscaler and a second pass", "widgets": {"text": START_NOTE}},
                "models": {"widgets": {"text": models_note(*STANDARD, UPSCALER)}},
            },
            without=("save",),
        ),
        Node("first", "PreviewImage", (2410, 0, 420, 360), "First pass", links={"images": "decode.IMAGE"}),
        Node(
            "upscaler",
            "UpscaleModelLoader",
            (3100, 0, 360, 58),
            widgets={"model_name": UPSCALER.name},
            models=(UPSCALER,),
        ),
        Node(
            "enlarge",
            "ImageUpscaleWithModel",
            (3100, 108, 300, 46),
            links={"upscale_model": "upscaler.UPSCALE_MODEL", "image": "decode.IMAGE"},
        ),
        Node(
            "scale",
            "ImageScaleBy",
            (3100, 204, 300, 82),
            "From four times to twice the size",
            {"upscale_method": "area", "scale_by": 0.5},
            {"image": "enlarge.IMAGE"},
        ),
        Node("encode", "VAEEncode", (3100, 336, 300, 46), links={"pixels": "scale.IMAGE", "vae": "vae.VAE"}),
        Node(
            "scheduler_2",
            "RelationScheduler",
            (3100, 432, 300, 82),
            widgets={"steps": 8, "denoise": 0.3},
            links={"latent": "encode.LATENT"},
            colour=OURS,
        ),
        Node(
            "sampler_2",
            "SamplerCustomAdvanced",
            (3100, 564, 300, 106),
            "Sampler, second pass",
            links={
                "noise": "noise.NOISE",
                "guider": "guider.GUIDER",
                "sampler": "euler.SAMPLER",
                "sigmas": "scheduler_2.sigmas",
                "latent_image": "encode.LATENT",
            },
        ),
        Node("decode_2", "VAEDecode", (3100, 720, 300, 46), links={"samples": "sampler_2.output", "vae": "vae.VAE"}),
        note("second_note", (3100, 816, 300, 314), "The second pass", SECOND_NOTE),
        Node(
            "save",
            "SaveImage",
            (3500, 0, 640, 740),
            "Result",
            {"filename_prefix": "RelationAdapter"},
            {"images": "decode_2.IMAGE"},
        ),
    ],
    [
        *GROUPS[:4],
        Group("5  The first result", ("decode", "comparison", "first", "show")),
        Group(
            "6  The second pass",
            ("upscaler", "enlarge", "scale", "encode", "scheduler_2", "sampler_2", "decode_2", "second_note", "save"),
        ),
    ],
)
