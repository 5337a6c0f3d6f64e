"""The model files that the workflows name, and where ComfyUI's missing-model dialog fetches them."""

from __future__ import annotations

from .template import ModelFile

HUB = "https://huggingface.co"
FLUX = ModelFile(
    "flux1-dev.safetensors", f"{HUB}/Comfy-Org/flux1-dev/resolve/main/flux1-dev.safetensors", "diffusion_models"
)
LORA = ModelFile(
    "pytorch_lora_weights.safetensors",
    f"{HUB}/handsomeWilliam/RelationAdapter/resolve/main/pytorch_lora_weights.safetensors",
    "loras",
)
VISION = ModelFile(
    "sigclip_vision_patch14_384.safetensors",
    f"{HUB}/Comfy-Org/sigclip_vision_384/resolve/main/sigclip_vision_patch14_384.safetensors",
    "clip_vision",
)
CLIP_L, T5_XXL = (
    ModelFile(name, f"{HUB}/comfyanonymous/flux_text_encoders/resolve/main/{name}", "text_encoders")
    for name in ("clip_l.safetensors", "t5xxl_fp16.safetensors")
)
AUTOENCODER = ModelFile(
    "ae.safetensors", f"{HUB}/Comfy-Org/Lumina_Image_2.0_Repackaged/resolve/main/split_files/vae/ae.safetensors", "vae"
)
ADAPTER_PAGE = f"{HUB}/handsomeWilliam/RelationAdapter"
ADAPTER = ModelFile("ip_adapter-100000.bin", f"{ADAPTER_PAGE}/resolve/main/ip_adapter-100000.bin", "relation_adapter")
"""Listed with its folder and address, though ComfyUI fetches no ``.bin``."""

STANDARD = (FLUX, LORA, ADAPTER, VISION, CLIP_L, T5_XXL, AUTOENCODER)
"""What relation transfer needs."""

CANNY = ModelFile(
    "flux-canny-controlnet-v3.safetensors",
    f"{HUB}/XLabs-AI/flux-controlnet-collections/resolve/main/flux-canny-controlnet-v3.safetensors",
    "controlnet",
)
UPSCALER = ModelFile(
    "RealESRGAN_x4plus.safetensors",
    f"{HUB}/Comfy-Org/Real-ESRGAN_repackaged/resolve/main/RealESRGAN_x4plus.safetensors",
    "upscale_models",
)
FLUX_FP8 = ModelFile(
    "flux1-dev-fp8.safetensors", f"{HUB}/Kijai/flux-fp8/resolve/main/flux1-dev-fp8.safetensors", "diffusion_models"
)
T5_XXL_FP8 = ModelFile(
    "t5xxl_fp8_e4m3fn_scaled.safetensors",
    f"{HUB}/comfyanonymous/flux_text_encoders/resolve/main/t5xxl_fp8_e4m3fn_scaled.safetensors",
    "text_encoders",
)
