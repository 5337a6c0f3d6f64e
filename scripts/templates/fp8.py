"""Half the memory: FLUX.1 and T5 in 8 bits."""

from __future__ import annotations

from .files import ADAPTER, AUTOENCODER, CLIP_L, FLUX_FP8, LORA, T5_XXL_FP8, VISION
from .models_note import models_note
from .template import Template, adapted
from .transfer import GROUPS, NODES

START_NOTE = """## For graphics cards with 8 to 16 GB

The same as *relation_transfer*, with FLUX.1 and T5 in 8 bits: 12 and 5 GB instead of 24 and 10. The relation itself \
stays in 16 bits and takes 180 MB, however large the adapter's file is.

**1** Get the models.  **2** Choose the pair and the source.  **3** Press **Run**.

**A file in int8?** ComfyUI 0.27 and newer also runs FLUX.1-dev in int8, with or without ConvRot. Choose the file in \
*Load Diffusion Model* and set *weight_dtype* to **default**: the file says which of its weights are in 8 bits.
"""

SOURCE_NOTE = """**512 pixels** is the size the adapter was trained at.

**Still too slow, or out of memory?** Set *source_scale* to 0.5: the source then uses a quarter of its tokens, and a \
step takes about two thirds of the time. Fine detail of the source may get lost.
"""

FP8 = Template(
    "relation_fp8",
    adapted(
        NODES,
        {
            "start": {"title": "For small graphics cards", "widgets": {"text": START_NOTE}},
            "flux": {
                "widgets": {"unet_name": FLUX_FP8.name, "weight_dtype": "fp8_e4m3fn"},
                "models": (FLUX_FP8,),
            },
            "clip": {"widgets": {"clip_name2": T5_XXL_FP8.name}, "models": (CLIP_L, T5_XXL_FP8)},
            "models": {
                "widgets": {"text": models_note(FLUX_FP8, LORA, ADAPTER, VISION, CLIP_L, T5_XXL_FP8, AUTOENCODER)}
            },
            "source_note": {"widgets": {"text": SOURCE_NOTE}},
        },
    ),
    GROUPS,
)
