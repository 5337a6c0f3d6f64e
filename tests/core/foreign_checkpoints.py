"""Names of tensors in files that users confuse with an adapter or with SigLIP, as their publishers ship them."""

from __future__ import annotations

LORA_DIFFUSERS = (
    "transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight",
    "transformer.single_transformer_blocks.0.attn.to_k.lora_B.weight",
)
LORA_KOHYA = (
    "lora_unet_double_blocks_0_img_attn_proj.alpha",
    "lora_unet_double_blocks_0_img_attn_proj.lora_down.weight",
    "lora_unet_double_blocks_0_img_attn_proj.lora_up.weight",
)
LORA_XLABS = (
    "double_blocks.0.processor.proj_lora1.down.weight",
    "double_blocks.0.processor.proj_lora1.up.weight",
    "double_blocks.0.processor.qkv_lora1.down.weight",
)
IP_ADAPTER_XLABS = (
    "double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight",
    "double_blocks.0.processor.ip_adapter_double_stream_v_proj.bias",
    "ip_adapter_proj_model.norm.weight",
    "ip_adapter_proj_model.proj.weight",
)
IP_ADAPTER_SD = (
    "image_proj.norm.bias",
    "image_proj.norm.weight",
    "image_proj.proj.bias",
    "image_proj.proj.weight",
    "ip_adapter.1.to_k_ip.weight",
    "ip_adapter.1.to_v_ip.weight",
)
IP_ADAPTER_SD_PLUS = (
    "image_proj.latents",
    "image_proj.layers.0.0.norm1.bias",
    "image_proj.proj_in.weight",
    "ip_adapter.1.to_k_ip.weight",
)
IP_ADAPTER_FACE = (
    "image_proj.proj.0.weight",
    "image_proj.proj.2.weight",
    "image_proj.norm.weight",
    "ip_adapter.0.to_q_lora.down.weight",
    "ip_adapter.1.to_k_ip.weight",
)
IP_ADAPTER_INSTANTX = (
    "image_proj.proj.0.weight",
    "ip_adapter.0.norm_added_k.weight",
    "ip_adapter.0.to_k_ip.weight",
)
CONTROLNET_INSTANTX = (
    "controlnet_blocks.0.weight",
    "controlnet_x_embedder.weight",
    "transformer_blocks.0.attn.to_q.weight",
)
CONTROLNET_XLABS = ("controlnet_blocks.0.bias", "double_blocks.0.img_attn.proj.weight", "input_hint_block.0.weight")
CONTROLNET_SD = ("control_model.input_blocks.0.0.weight", "control_model.middle_block.0.in_layers.0.weight")
PULID = ("id_adapter.latents", "pulid_ca.0.norm1.weight")
FLUX = ("double_blocks.0.img_attn.norm.key_norm.scale", "img_in.weight", "single_blocks.0.linear1.weight")
FLUX_DIFFUSERS = ("transformer_blocks.0.attn.to_q.weight", "x_embedder.weight", "proj_out.weight")
FLUX_CHECKPOINT = ("model.diffusion_model.double_blocks.0.img_attn.proj.weight", "vae.decoder.conv_in.weight")
SD = ("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight")
VAE = ("decoder.conv_in.weight", "encoder.conv_in.weight", "encoder.down.0.block.0.conv1.weight")
T5 = ("encoder.block.0.layer.0.SelfAttention.k.weight", "shared.weight")
CLIP_L = ("text_model.embeddings.position_embedding.weight", "text_model.encoder.layers.0.mlp.fc1.weight")
CLIP_VISION = (
    "vision_model.embeddings.class_embedding",
    "vision_model.encoder.layers.0.mlp.fc1.weight",
    "vision_model.pre_layrnorm.weight",
    "visual_projection.weight",
)
OPEN_CLIP = ("visual.class_embedding", "visual.conv1.weight")
DINO = ("embeddings.cls_token", "encoder.layer.0.attention.attention.key.weight")
SIGLIP = ("vision_model.embeddings.patch_embedding.weight", "vision_model.head.probe")
SIGLIP_HEADLESS = ("vision_model.embeddings.patch_embedding.weight", "vision_model.post_layernorm.weight")
RELATION_ADAPTER = ("image_proj.proj.0.weight", "image_proj.norm.weight", "ip_adapter.0.to_k_ip.weight")

KINDS = {
    "a LoRA": (LORA_DIFFUSERS, LORA_KOHYA, LORA_XLABS),
    "an IP-Adapter of XLabs": (IP_ADAPTER_XLABS,),
    "an IP-Adapter for Stable Diffusion": (IP_ADAPTER_SD, IP_ADAPTER_SD_PLUS, IP_ADAPTER_FACE),
    "an InstantX IP-Adapter with its own norms": (IP_ADAPTER_INSTANTX,),
    "a ControlNet": (CONTROLNET_INSTANTX, CONTROLNET_XLABS, CONTROLNET_SD),
    "a PuLID file": (PULID,),
    "a Flux diffusion model": (FLUX, FLUX_DIFFUSERS, FLUX_CHECKPOINT),
    "a Stable Diffusion model": (SD,),
    "an autoencoder": (VAE,),
    "a text encoder": (T5, CLIP_L),
    "a CLIP vision model": (CLIP_VISION, OPEN_CLIP),
    "a DINO vision model": (DINO,),
    "a SigLIP vision model": (SIGLIP, SIGLIP_HEADLESS),
    "a RelationAdapter": (RELATION_ADAPTER,),
}
"""What such a file is called in an error."""

EACH = [(kind, names) for kind, files in KINDS.items() for names in files]
