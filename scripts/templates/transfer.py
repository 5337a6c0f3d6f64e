"""The workflow that the others are made from: one pair, one source, one result."""

from __future__ import annotations

from .files import ADAPTER, AUTOENCODER, CLIP_L, FLUX, LORA, STANDARD, T5_XXL, VISION
from .models_note import models_note
from .template import OURS, Group, Node, Template, note

START_NOTE = """## Show an edit on one pair of pictures, get it on another picture

**1** Get the models: the note at the left lists them.  **2** Choose a pair: a picture before an edit and the \
same picture after it.  **3** Choose the picture to edit, and describe the edit in a sentence.  **4** Press **Run**. \
The result is on the right; below it, A : A' :: B : B' compares it with the pair.

Until you choose your own pictures, the three *Load Image* nodes show ComfyUI's `example.png`. This pack's folder \
`pictures` has a pair and a source to try: drop them on the nodes *Before*, *After* and *Source*.
"""

PAIR_NOTE = """**One change, the same scene.** The pair should show the edit and nothing else.
Two pictures of the same size and from the same viewpoint work best.
"""

SOURCE_NOTE = """**512 pixels** is the size the adapter was trained at. Larger sources work, but more slowly and less \
reliably.
The prompt describes the edit, not the picture: *make it a pencil drawing*.
"""

SAMPLING_NOTE = """The authors' settings: **strength 1**, **24 steps**, **guidance 3.5**, Euler, seed 1000.

**Edit too weak?** Raise *strength* to 1.2 or 1.5.

**Too much of the exemplar's content?** Lower it to 0.8, or lower *end_percent*.

**Another variation?** Change the seed.
"""

NODES = [
    note("start", (380, 0, 780, 120), "Relation transfer", START_NOTE),
    # 1 Models
    Node("flux", "UNETLoader", (0, 0, 420, 82), widgets={"unet_name": FLUX.name}, models=(FLUX,)),
    Node(
        "lora",
        "LoraLoaderModelOnly",
        (0, 132, 320, 82),
        "Load the adapter's LoRA",
        {"lora_name": LORA.name, "strength_model": 1.0},
        {"model": "flux.MODEL"},
        (LORA,),
    ),
    Node(
        "adapter",
        "LoadRelationAdapter",
        (0, 264, 320, 82),
        widgets={"adapter_name": ADAPTER.name, "vision_name": VISION.name},
        models=(ADAPTER, VISION),
        colour=OURS,
    ),
    Node(
        "clip",
        "DualCLIPLoader",
        (0, 396, 320, 130),
        widgets={"clip_name1": CLIP_L.name, "clip_name2": T5_XXL.name, "type": "flux"},
        models=(CLIP_L, T5_XXL),
    ),
    Node("vae", "VAELoader", (0, 576, 320, 58), widgets={"vae_name": AUTOENCODER.name}, models=(AUTOENCODER,)),
    note("models", (0, 684, 420, 446), "Models", models_note(*STANDARD)),
    # 2 The pair
    Node("before", "LoadImage", (380, 250, 300, 340), "Before", {"image": "example.png"}),
    Node("after", "LoadImage", (640, 250, 300, 340), "After", {"image": "example.png"}),
    Node(
        "exemplar",
        "RelationExemplarEncode",
        (900, 250, 260, 142),
        links={
            "relation_adapter": "adapter.relation_adapter",
            "before": "before.IMAGE",
            "after": "after.IMAGE",
        },
        colour=OURS,
    ),
    note("pair_note", (900, 442, 260, 168), "A good pair", PAIR_NOTE),
    # 3 The source and the prompt
    Node("source", "LoadImage", (380, 740, 300, 340), "Source", {"image": "example.png"}),
    Node(
        "prompt",
        "CLIPTextEncode",
        (640, 740, 300, 140),
        "Prompt",
        {"text": "Turn the picture into a pencil drawing."},
        {"clip": "clip.CLIP"},
    ),
    Node(
        "guidance",
        "FluxGuidance",
        (640, 1040, 240, 90),
        widgets={"guidance": 3.5},
        links={"conditioning": "prompt.CONDITIONING"},
    ),
    Node(
        "source_encode",
        "RelationSourceEncode",
        (900, 740, 260, 122),
        links={"conditioning": "guidance.CONDITIONING", "vae": "vae.VAE", "image": "source.IMAGE"},
        colour=OURS,
    ),
    note("source_note", (900, 912, 260, 218), "A good source", SOURCE_NOTE),
    # 4 Sampling
    Node(
        "apply",
        "ApplyRelationAdapter",
        (1220, 0, 270, 194),
        links={"model": "lora.MODEL", "relation": "exemplar.relation"},
        colour=OURS,
    ),
    Node(
        "noise",
        "RandomNoise",
        (1510, 0, 260, 82),
        "Seed",
        {"noise_seed": 1000, "noise_seed.control": "fixed"},
    ),
    Node("euler", "KSamplerSelect", (1220, 472, 260, 58), widgets={"sampler_name": "euler"}),
    Node(
        "scheduler",
        "RelationScheduler",
        (1220, 340, 270, 82),
        widgets={"steps": 24},
        links={"latent": "source_encode.latent"},
        colour=OURS,
    ),
    Node(
        "guider",
        "BasicGuider",
        (1220, 244, 270, 46),
        links={"model": "apply.model", "conditioning": "source_encode.conditioning"},
    ),
    Node(
        "sampler",
        "SamplerCustomAdvanced",
        (1510, 200, 260, 106),
        "Sampler",
        links={
            "noise": "noise.NOISE",
            "guider": "guider.GUIDER",
            "sampler": "euler.SAMPLER",
            "sigmas": "scheduler.sigmas",
            "latent_image": "source_encode.latent",
        },
    ),
    note("sampling_note", (1510, 400, 300, 182), "Settings", SAMPLING_NOTE),
    # 5 The result
    Node("decode", "VAEDecode", (2110, 0, 270, 46), links={"samples": "sampler.output", "vae": "vae.VAE"}),
    Node(
        "comparison",
        "RelationComparison",
        (2110, 100, 270, 86),
        links={
            "before": "before.IMAGE",
            "after": "after.IMAGE",
            "source": "source.IMAGE",
            "result": "decode.IMAGE",
        },
        colour=OURS,
    ),
    Node(
        "save",
        "SaveImage",
        (2410, 0, 420, 360),
        "Result",
        {"filename_prefix": "RelationAdapter"},
        {"images": "decode.IMAGE"},
    ),
    Node("show", "PreviewImage", (2410, 400, 420, 320), "Comparison", links={"images": "comparison.image"}),
]

MODELS, PAIR, SOURCE, SAMPLING, RESULT = GROUPS = [
    Group("1  Models", ("adapter", "flux", "lora", "clip", "vae", "models")),
    Group("2  The pair", ("before", "after", "exemplar", "pair_note")),
    Group("3  The source and the prompt", ("source", "prompt", "guidance", "source_encode", "source_note")),
    Group("4  Sampling", ("apply", "noise", "euler", "scheduler", "guider", "sampler", "sampling_note")),
    Group("5  The result", ("decode", "comparison", "save", "show")),
]

TRANSFER = Template("relation_transfer", NODES, GROUPS)
