"""Families of timm's ViTs, each with a member that options make tiny."""

# What timm calls a member of each family, and the options that make it tiny.
TINY = dict(depth=2, embed_dim=48, num_heads=2, patch_size=16)
FAMILIES = dict(
    vit='vit_small_patch16_224',
    deit='deit_tiny_distilled_patch16_224',
    dinov2='vit_small_patch14_reg4_dinov2',
    clip='vit_base_patch16_clip_quickgelu_224',
    siglip='vit_base_patch16_siglip_224',
    dinov3='vit_small_patch16_dinov3',
    rope='vit_small_patch16_rope_mixed_224',
    pe='vit_pe_core_tiny_patch16_384',
)
