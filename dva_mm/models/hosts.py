"""The plain ViTs that FrozenViT can hold: timm's by name, mmpretrain's by config."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import timm
import torch
import torch.nn as nn
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models.backbones import VisionTransformer as MMVisionTransformer
from mmpretrain.registry import MODELS
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor

# timm's names -> mmpretrain's; both hosts compute the same from the same tensors.
_TIMM_TO_MMPRETRAIN = (
    ('patch_embed.proj.', 'patch_embed.projection.'),
    ('norm_pre.', 'pre_norm.'),
    ('blocks.', 'layers.'),
    ('.norm1.', '.ln1.'),
    ('.norm2.', '.ln2.'),
    ('.mlp.fc1.', '.ffn.layers.0.0.'),
    ('.mlp.fc2.', '.ffn.layers.1.'),
    ('.ls1.gamma', '.attn.gamma1.weight'),
    ('.ls2.gamma', '.ffn.gamma2.weight'),
)


@dataclass
class Host:
    """A ViT and what FrozenViT needs to know of it."""

    vit: nn.Module
    name: str
    blocks: nn.ModuleList
    img_size: int
    patch_size: int
    embed_dims: int
    num_prefix_tokens: int
    #: images (B, 3, H, W) -> tokens after the final norm (B, N, C)
    tokens: Callable[[Tensor], Tensor]
    #: the norm on averaged patch tokens, (B, C) -> (B, C)
    pooled_norm: Callable[[Tensor], Tensor]


def build_timm_host(arch: str, pretrained: bool | str, img_size: int | None, pooling: str) -> Host:
    """Build a timm ViT by name; arguments and errors as in FrozenViT."""
    base_name = arch.split('.')[0]
    if not timm.is_model(base_name):
        near = difflib.get_close_matches(base_name, timm.list_models(), n=3)
        raise ValueError(f'timm has no model {arch!r}; the closest are {near}')
    options = dict(num_classes=0)
    if img_size is not None:
        options['img_size'] = img_size
    if isinstance(pretrained, str):
        file = str(Path(pretrained).expanduser())
        overlay = dict(source='', file=file, custom_load=file.endswith('.npz'))
        options['pretrained_cfg_overlay'] = overlay
    try:
        vit = timm.create_model(arch, pretrained=False, **options)
    except (RuntimeError, TypeError) as error:  # an unknown tag; a model without img_size
        raise ValueError(
            f'timm cannot build {arch!r} as a plain ViT: {error}; the names with weights are '
            f'{timm.list_pretrained(f"{base_name}.*")}'
        ) from error
    _check_timm_vit(vit, arch, pooling)
    if pretrained is not False:
        try:
            if isinstance(pretrained, str):
                _check_timm_file(vit, file)
            vit = timm.create_model(arch, pretrained=True, **options)
        except Exception as error:
            raise _weights_error(vit, arch, pretrained, error) from error
    return Host(
        vit=vit,
        name=arch,
        blocks=vit.blocks,
        img_size=vit.patch_embed.img_size[0],
        patch_size=vit.patch_embed.patch_size[0],
        embed_dims=vit.embed_dim,
        num_prefix_tokens=vit.num_prefix_tokens,
        tokens=vit.forward_features,
        pooled_norm=vit.fc_norm,
    )


def _check_timm_vit(vit: nn.Module, arch: str, pooling: str) -> None:
    if not isinstance(vit, TimmVisionTransformer) or not all(
        isinstance(getattr(getattr(block, 'attn', None), 'qkv', None), nn.Linear)
        for block in vit.blocks
    ):
        raise ValueError(
            f'{arch!r} is a {type(vit).__name__} without one fused qkv Linear per block; choose a '
            'plain ViT: ViT, DeiT, AugReg, DINO, DINOv2 or CLIP visual'
        )
    if pooling == 'cls' and not vit.has_class_token:
        raise ValueError(f"{arch!r} has no class token; use pooling='avg'")
    if pooling == 'cls' and isinstance(vit.norm, nn.Identity):
        raise ValueError(
            f'{arch!r} was trained on averaged patch tokens and has no norm for its class token; '
            "use pooling='avg'"
        )


def _check_timm_file(vit: nn.Module, file: str) -> None:
    # timm loads a ViT without classifier by strict=False: what is missing would stay random.
    if file.endswith('.npz'):  # here timm asks for every tensor by its name
        return
    state = checkpoint_filter_fn(timm.models.load_state_dict(file), vit, adapt_layer_scale=True)
    names = list(vit.state_dict())
    if missing := [name for name in names if name not in state]:
        raise ValueError(f'{len(missing)} of {len(names)} tensors are missing, first {missing[0]}')


def _weights_error(
    vit: nn.Module, arch: str, pretrained: bool | str, error: Exception
) -> Exception:
    if isinstance(pretrained, str):
        return ValueError(f'FrozenViT: {pretrained!r} does not hold weights of {arch!r}: {error}')
    config = vit.pretrained_cfg
    source = config.get('hf_hub_id') or config.get('url') or 'timm names no source'
    return RuntimeError(
        f'FrozenViT: no pre-trained weights for {arch!r}. Tried: the hub ({source}), which gave '
        f'{type(error).__name__}: {error}\nFetch the file on a machine with internet and set '
        'model.backbone.pretrained to its path (.safetensors, .pth or .npz), e.g. '
        '--cfg-options model.backbone.pretrained=weights/vit.safetensors'
    )


def build_mmpretrain_host(
    arch: dict, pretrained: bool | str, img_size: int | None, pooling: str
) -> Host:
    """Build mmpretrain's VisionTransformer; arguments and errors as in FrozenViT."""
    config = dict(arch)
    if config.get('type') not in ('VisionTransformer', 'mmpretrain.VisionTransformer'):
        raise ValueError(
            "FrozenViT takes a config of mmpretrain's VisionTransformer as host, got "
            f'type={config.get("type")!r}'
        )
    if pooling == 'cls' and not config.get('with_cls_token', True):
        raise ValueError("the mmpretrain host has no class token; use pooling='avg'")
    if img_size is not None:
        config['img_size'] = img_size
    config.update(out_type='raw', out_indices=-1, final_norm=True)
    vit: MMVisionTransformer = MODELS.build(config)
    inner = config.get('arch', 'base')
    if isinstance(inner, dict):
        inner = ','.join(f'{key}={inner[key]}' for key in sorted(inner))
    name = f'mmpretrain.VisionTransformer({inner})'
    if pretrained is False:
        vit.init_weights()
    else:
        _load_mmpretrain(vit, name, pretrained)
    return Host(
        vit=vit,
        name=name,
        blocks=vit.layers,
        img_size=vit.img_size[0],
        patch_size=vit.img_size[0] // vit.patch_resolution[0],
        embed_dims=vit.embed_dims,
        num_prefix_tokens=vit.num_extra_tokens,
        tokens=partial(_raw_tokens, vit),  # unlike a closure, a deep copy follows the copied ViT
        pooled_norm=nn.Identity(),
    )


def _raw_tokens(vit: MMVisionTransformer, images: Tensor) -> Tensor:
    return vit(images)[-1]


def _load_mmpretrain(vit: MMVisionTransformer, name: str, pretrained: bool | str) -> None:
    if pretrained is True:
        raise ValueError(
            'FrozenViT: an mmpretrain host has no name on a hub; set model.backbone.pretrained to '
            'a file or URL of its weights, or to False'
        )
    try:
        if pretrained.endswith('.safetensors'):
            state = load_file(Path(pretrained).expanduser())
        else:
            state = CheckpointLoader.load_checkpoint(pretrained, map_location='cpu')
            state = state.get('state_dict', state.get('model', state))
        vit.load_state_dict(to_mmpretrain_names(state), strict=True)
    except Exception as error:
        raise ValueError(
            f'FrozenViT: {pretrained!r} does not hold weights of {name}: {error}'
        ) from error


def to_mmpretrain_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A ViT's tensors under mmpretrain's names, as float32, without heads and ``backbone.``.

    Takes timm's names, mmpretrain's, and mmpretrain's classifier checkpoints.
    """
    if any(name.startswith('backbone.') for name in state):
        prefix = 'backbone.'
        state = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    from_timm = any(name.startswith('blocks.') for name in state)
    renamed = {}
    for name, tensor in state.items():
        if name.startswith(('head', 'pre_logits')):
            continue
        if from_timm:
            if name.startswith('norm.'):
                name = 'ln1.' + name.removeprefix('norm.')
            for old, new in _TIMM_TO_MMPRETRAIN:
                name = name.replace(old, new)
        renamed[name] = tensor.to(torch.float32)
    return renamed
