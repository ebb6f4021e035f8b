"""timm's plain ViTs, by name."""

import difflib
from contextlib import nullcontext
from pathlib import Path

import timm
import torch
import torch.nn as nn
from timm.models import eva, vision_transformer
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer

from .plain_vit import PlainViT, check_img_size


def build_timm_vit(
    arch: str,
    pretrained: bool | str,
    img_size: int | tuple[int, int] | None,
    pooling: str,
    dynamic_img_size: bool = False,
) -> PlainViT:
    """Build a timm ViT; arguments and errors as in :class:`FrozenViT`.

    What ``pooling`` does not use is taken out of the ViT, so that every parameter left takes part
    in the forward.

    >>> build_timm_vit('test_vit3', pretrained=False, img_size=None, pooling='map').img_size
    160
    """
    options = dict(num_classes=0)
    if img_size is not None:
        options['img_size'] = img_size
    if dynamic_img_size:
        options['dynamic_img_size'] = True
    if isinstance(pretrained, str):
        file = str(Path(pretrained).expanduser())
        overlay = dict(source='', file=file, custom_load=file.endswith('.npz'))
        options['pretrained_cfg_overlay'] = overlay
    # Before weights are fetched, its shapes alone.
    with nullcontext() if pretrained is False else torch.device('meta'):
        vit = _random_vit(arch, options)
    _check_vit(vit, arch, pooling)
    sides, patch_size = vit.patch_embed.img_size, vit.patch_embed.patch_size[0]
    if any(side % patch_size for side in sides):
        raise ValueError(
            f'{arch!r} has patches of {patch_size} pixels, which do not fill img_size={img_size}; '
            f'the nearest is {[max(1, round(side / patch_size)) * patch_size for side in sides]}'
        )
    if pretrained is not False:
        try:
            if isinstance(pretrained, str):
                _check_file(vit, file)
            vit = timm.create_model(arch, pretrained=True, **options)
        except Exception as error:
            if isinstance(pretrained, str):
                raise ValueError(
                    f'FrozenViT: {pretrained!r} does not hold weights of {arch!r}: {error}'
                ) from error
            config = vit.pretrained_cfg
            source = config.get('hf_hub_id') or config.get('url') or 'timm names no source'
            raise FileNotFoundError(
                f'FrozenViT: no pre-trained weights for {arch!r}. Tried: the hub ({source}), which '
                f'gave {type(error).__name__}: {error}\nFetch the file on a machine with internet '
                'and set model.backbone.pretrained to its path (.safetensors, .pth or .npz), e.g. '
                '--cfg-options model.backbone.pretrained=weights/vit.safetensors (of a search: '
                '--pretrained weights/vit.safetensors)'
            ) from error
    if pooling != 'map' and vit.attn_pool is not None:
        vit.reset_classifier(0, 'avg' if pooling == 'avg' else 'token')
    if pooling in ('cls', 'cls+avg'):
        vit.fc_norm = nn.Identity()
    return PlainViT(
        model=vit,
        name=f'local-dir:{Path(arch).name}' if arch.startswith('local-dir:') else arch,
        blocks=vit.blocks,
        img_size=check_img_size(sides),
        patch_size=patch_size,
        embed_dims=vit.embed_dim,
        num_prefix_tokens=vit.num_prefix_tokens,
        tokens=vit.forward_features,
        pooled_norm=vit.fc_norm,
        before_blocks=None if isinstance(vit, Eva) else vit.norm_pre,
        attention_pool=vit.forward_head,
    )


def _random_vit(arch: str, options: dict) -> nn.Module:
    in_registry = ':' not in arch  # else hf-hub:OWNER/NAME or local-dir:FOLDER
    name = arch.split('.')[0]
    if in_registry and not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise ValueError(
            f'timm has no model {arch!r}; the closest are {near}. Repositories of the hub are '
            "called 'hf-hub:OWNER/NAME'"
        )
    try:
        return timm.create_model(arch, pretrained=False, **options)
    except (RuntimeError, TypeError, AssertionError) as error:  # unknown tag, no img_size
        raise ValueError(
            f'timm cannot build {arch!r} as a plain ViT: {error}'
            + (f'; names with weights: {timm.list_pretrained(f"{name}.*")}' if in_registry else '')
        ) from error
    except Exception as error:
        if in_registry:
            raise
        raise FileNotFoundError(
            f'FrozenViT: the config of {arch!r} could not be read: {type(error).__name__}: {error}'
            '\nWithout internet, name the architecture in model.backbone.arch as timm does and '
            'set model.backbone.pretrained to the file of its weights'
        ) from error


def _check_vit(vit: nn.Module, arch: str, pooling: str) -> None:
    attentions = [getattr(block, 'attn', None) for block in getattr(vit, 'blocks', [])]
    fused = [isinstance(getattr(attention, 'qkv', None), nn.Linear) for attention in attentions]
    plain = bool(fused) and all(fused)
    if plain and any(getattr(attention, 'q_bias', None) is not None for attention in attentions):
        raise ValueError(
            f'{arch!r} keeps the biases of Q and V apart from its qkv Linear and computes '
            'F.linear(x, qkv.weight, bias) without calling that Linear (as BEiT, EVA02 and '
            '*_qkvb), so nothing put in its place would run; choose another ViT'
        )
    if not plain or not isinstance(vit, VisionTransformer | Eva):
        raise ValueError(
            f'{arch!r} is a {type(vit).__name__} without one fused qkv Linear per block; choose a '
            'plain ViT: ViT, DeiT, AugReg, DINO, DINOv2, DINOv3, CLIP, SigLIP or Perception Encoder'
        )
    if pooling == 'map' and vit.attn_pool is None:
        raise ValueError(f"{arch!r} has no attention pooling; use pooling='cls' or 'avg'")
    if pooling in ('cls', 'cls+avg'):
        if vit.cls_token is None:
            raise ValueError(f"{arch!r} has no class token; use pooling='avg' or, if it has, 'map'")
        if isinstance(vit.norm, nn.Identity):
            raise ValueError(f"{arch!r} has no norm for its class token; use pooling='avg'")


def _check_file(vit: nn.Module, file: str) -> None:
    # timm loads a ViT without classifier by strict=False: what is missing would stay random.
    if file.endswith('.npz'):  # here timm asks for every tensor by its name
        return
    state = timm.models.load_state_dict(file)
    if isinstance(vit, Eva):
        state = eva.checkpoint_filter_fn(state, vit)
    else:
        state = vision_transformer.checkpoint_filter_fn(state, vit, adapt_layer_scale=True)
    names = list(vit.state_dict())
    if missing := [name for name in names if name not in state]:
        raise ValueError(f'{len(missing)} of {len(names)} tensors are missing, first {missing[0]}')
