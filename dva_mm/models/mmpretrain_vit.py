"""mmpretrain's VisionTransformer, by config."""

from functools import partial
from pathlib import Path

import torch
import torch.nn as nn
from mmcv.cnn.bricks import DropPath
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.registry import MODELS
from safetensors.torch import load_file
from torch import Tensor

from .plain_vit import PlainViT, check_img_size

# timm's names -> mmpretrain's; both ViTs compute the same from the same tensors.
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


def build_mmpretrain_vit(
    arch: dict, pretrained: bool | str, img_size: int | tuple[int, int] | None, pooling: str
) -> PlainViT:
    """Build mmpretrain's VisionTransformer; arguments and errors as in :class:`FrozenViT`.

    >>> vit = build_mmpretrain_vit(dict(type='VisionTransformer', arch='deit-t'), False, 64, 'avg')
    >>> vit.name, vit.embed_dims
    ('mmpretrain.VisionTransformer(deit-t)', 192)
    """
    config = dict(arch)
    kind = config.get('type')
    if kind not in ('VisionTransformer', 'mmpretrain.VisionTransformer'):
        raise ValueError(f"arch must be of mmpretrain's VisionTransformer, got type={kind!r}")
    if pooling == 'map':
        raise ValueError("mmpretrain's ViT has no attention pooling; use pooling='cls' or 'avg'")
    if pooling in ('cls', 'cls+avg') and not config.get('with_cls_token', True):
        raise ValueError("the VisionTransformer has no class token; use pooling='avg'")
    if img_size is not None:
        config['img_size'] = img_size
    config.update(out_type='raw', out_indices=-1, final_norm=True)
    vit: VisionTransformer = MODELS.build(config)
    for module in vit.modules():
        if isinstance(module, DropPath):  # numpy's numbers would split what torch.compile makes
            module.drop_prob = float(module.drop_prob)
    inner = config.get('arch', 'base')
    if isinstance(inner, dict):
        inner = ','.join(f'{key}={inner[key]}' for key in sorted(inner))
    name = f'mmpretrain.VisionTransformer({inner})'
    if pretrained is False:
        vit.init_weights()
    else:
        _load(vit, name, pretrained)
    return PlainViT(
        model=vit,
        name=name,
        blocks=vit.layers,
        img_size=check_img_size(vit.img_size),
        patch_size=vit.img_size[0] // vit.patch_resolution[0],
        embed_dims=vit.embed_dims,
        num_prefix_tokens=vit.num_extra_tokens,
        tokens=partial(_raw_tokens, vit),  # unlike a closure, it is copied with the ViT
        pooled_norm=nn.Identity(),
        before_blocks=vit.pre_norm,
    )


def _raw_tokens(vit: VisionTransformer, images: Tensor) -> Tensor:
    return vit(images)[-1]


def _load(vit: VisionTransformer, name: str, pretrained: bool | str) -> None:
    if pretrained is True:
        raise ValueError(
            "FrozenViT: mmpretrain's VisionTransformer has no name on a hub; set "
            'model.backbone.pretrained to a file or URL of its weights, or to False'
        )
    try:
        if pretrained.endswith('.safetensors'):
            state = load_file(Path(pretrained).expanduser())
        else:
            state = CheckpointLoader.load_checkpoint(pretrained, map_location='cpu')
            state = state.get('state_dict', state.get('model', state))
        vit.load_state_dict(to_mmpretrain_names(state), strict=True)
    except Exception as error:
        lines = str(error).splitlines()
        more = f' ... and {len(lines) - 3} more' if len(lines) > 3 else ''
        raise ValueError(
            f'FrozenViT: {pretrained!r} does not hold weights of {name}: '
            f'{" ".join(lines[:3])}{more}'
        ) from error


def to_mmpretrain_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A ViT's tensors under mmpretrain's names, as float32, without heads and ``backbone.``.

    Takes timm's names, mmpretrain's, and mmpretrain's classifier checkpoints.

    >>> list(to_mmpretrain_names({'blocks.0.norm1.bias': torch.zeros(2)}))
    ['layers.0.ln1.bias']
    """
    prefix = 'backbone.'
    if any(name.startswith(prefix) for name in state):
        state = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    from_timm = any(name.startswith('blocks.') for name in state)
    renamed = {}
    for name, tensor in state.items():
        if from_timm:
            name = f'ln1.{name[5:]}' if name.startswith('norm.') else name
            for old, new in _TIMM_TO_MMPRETRAIN:
                name = name.replace(old, new)
        if not name.startswith(('head', 'pre_logits')):
            renamed[name] = tensor.to(torch.float32)
    return renamed
