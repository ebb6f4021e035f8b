"""The rivals of ICA: other ways to train a pre-trained ViT, in whole or in part."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch.nn as nn

from .hosts import Host
from .tuning_modules import add_adapt_mlps, add_prompts


@dataclass
class Tuning:
    """What a way of tuning did to a host, and what FrozenViT has to do for it."""

    #: modules that follow ``train()``; the rest of the host stays in eval mode
    modules: list[nn.Module] = field(default_factory=list)
    #: each draws one added module anew, as at the start
    resets: list[Callable[[], None]] = field(default_factory=list)
    #: tokens added between the prefix tokens and the patch tokens
    num_prompts: int = 0


def tune_full(host: Host) -> Tuning:
    """Full fine-tuning: every parameter trains, and the host's dropout and drop-path are on."""
    host.vit.requires_grad_(True)
    return Tuning(modules=[host.vit])


def tune_bitfit(host: Host) -> Tuning:
    """BitFit: all bias vectors train, those of the norms and the patch embedding among them.

    Paper: https://arxiv.org/abs/2106.10199. The host's dropout and drop-path stay off.
    """
    for name, parameter in host.vit.named_parameters():
        parameter.requires_grad_(name.split('.')[-1] == 'bias')
    return Tuning()


def tune_lora(
    host: Host,
    rank: int = 8,
    alpha: float = 16,
    dropout: float = 0.0,
    target_modules: Sequence[str] = ('qkv',),
) -> Tuning:
    r"""LoRA by Hugging Face's peft: :math:`W x + \frac{alpha}{rank} B A x`, with B zero at first.

    Paper: https://arxiv.org/abs/2106.09685. On a fused qkv one A serves Q, K and V; the paper
    adapts the separate projections of Q and V.

    Args:
        host: The ViT.
        rank: Width between A and B. Defaults to 8.
        alpha: Numerator of the scale. Defaults to 16.
        dropout: On the input of A. Defaults to 0.
        target_modules: Layers to adapt, by the ends of their names in the host, such as 'qkv' or
            'attn.proj'. Defaults to ('qkv',).

    Raises:
        ImportError: if peft is not installed.
        ValueError: if a name fits no layer of the host, or another option is out of its range.
    """
    _check_positive('LoRA', 'rank', rank)
    _check_dropout('LoRA', dropout)
    _check_target_modules(host, target_modules)
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer
    except ImportError as error:
        raise ImportError(
            f'tuning type=\'LoRA\' needs peft: pip install "dva_mm[baselines]" ({error})'
        ) from error
    name = 'default'  # peft's name for A and B within a layer
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(target_modules)
    )
    inject_adapter_in_model(config, host.vit, adapter_name=name)
    adapted = [module for module in host.vit.modules() if isinstance(module, LoraLayer)]
    return Tuning(
        modules=adapted,
        resets=[partial(layer.reset_lora_parameters, name, True) for layer in adapted],
    )


def tune_vpt_shallow(host: Host, num_tokens: int = 10, dropout: float = 0.0) -> Tuning:
    """VPT-shallow: prompts enter the sequence before the first block and pass through all.

    Paper: https://arxiv.org/abs/2203.12119. Where the host has a norm before its blocks (CLIP),
    they enter after it.

    Args:
        host: The ViT.
        num_tokens: Number of prompts. Defaults to 10.
        dropout: On the prompts. Defaults to 0.

    Raises:
        ValueError: if an option is out of its range.
    """
    _check_positive('VPTShallow', 'num_tokens', num_tokens)
    _check_dropout('VPTShallow', dropout)
    added = add_prompts(host, host.blocks[:1], num_tokens, dropout)
    return Tuning(modules=added, resets=[p.reset for p in added], num_prompts=num_tokens)


def tune_vpt_deep(host: Host, num_tokens: int = 10, dropout: float = 0.0) -> Tuning:
    """VPT-deep: as VPT-shallow, but every further block puts prompts of its own in their place.

    Args:
        host: The ViT.
        num_tokens: Number of prompts of each block. Defaults to 10.
        dropout: On the prompts. Defaults to 0.

    Raises:
        ValueError: if an option is out of its range.
    """
    _check_positive('VPTDeep', 'num_tokens', num_tokens)
    _check_dropout('VPTDeep', dropout)
    added = add_prompts(host, host.blocks, num_tokens, dropout)
    return Tuning(modules=added, resets=[p.reset for p in added], num_prompts=num_tokens)


def tune_adaptformer(
    host: Host, bottleneck: int = 64, scale: float = 0.1, dropout: float = 0.0
) -> Tuning:
    r"""AdaptFormer: :math:`x + MLP(LN(x)) + s \cdot up(ReLU(down(LN(x))))` in every block.

    Paper: https://arxiv.org/abs/2205.13535. The branch takes the MLP's normed input, as the paper
    has it; the authors' code feeds it the tokens before that norm. In a host with LayerScale the
    branch is scaled together with the MLP.

    Args:
        host: The ViT.
        bottleneck: Width between down and up. Defaults to 64.
        scale: Factor s. Defaults to 0.1.
        dropout: On the bottleneck; 0.1 in the authors' code. Defaults to 0.

    Raises:
        ValueError: if a block has no MLP, or an option is out of its range.
    """
    _check_positive('AdaptFormer', 'bottleneck', bottleneck)
    _check_dropout('AdaptFormer', dropout)
    added = add_adapt_mlps(host, bottleneck, scale, dropout)
    return Tuning(modules=added, resets=[branch.reset for branch in added])


def _check_positive(name: str, option: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f'{name} {option} must be a positive integer, got {value!r}')


def _check_dropout(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f'{name} dropout must be at least 0 and below 1, got {value!r}')


def _check_target_modules(host: Host, targets: Sequence[str]) -> None:
    def layers(module: nn.Module) -> list[str]:
        return [n for n, m in module.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]

    ends = tuple(f'.{name}' for name in layers(host.vit))
    fits = [any(end.endswith(f'.{target}') for end in ends) for target in targets]
    if isinstance(targets, str) or not fits or not all(fits):
        raise ValueError(
            f'LoRA target_modules must be a list of layers of {host.name}, got {targets!r}; the '
            f'layers of a block are {layers(host.blocks[0])}'
        )


TUNINGS: dict[str, Callable[..., Tuning]] = {
    'Full': tune_full,
    'BitFit': tune_bitfit,
    'LoRA': tune_lora,
    'VPTShallow': tune_vpt_shallow,
    'VPTDeep': tune_vpt_deep,
    'AdaptFormer': tune_adaptformer,
}
"""Ways of tuning by the ``type`` that FrozenViT's ``tuning`` takes."""


def resolve_tuning(config: dict) -> dict[str, str | int | float | list[str]]:
    """A config of tuning with all its options, as plain values that a checkpoint can hold.

    Args:
        config: ``type``, a key of :data:`TUNINGS`, and options of that function.

    Raises:
        ValueError: if the type or an option is unknown.
    """
    options = dict(config) if isinstance(config, dict) else {}
    name = options.pop('type', None)
    if name not in TUNINGS:
        raise ValueError(
            f'FrozenViT tuning must be a dict whose type is one of {list(TUNINGS)}, got {config!r}'
        )
    _, *known = inspect.signature(TUNINGS[name]).parameters.values()
    names = [option.name for option in known]
    if unknown := [option for option in options if option not in names]:
        raise ValueError(f'tuning type={name!r} has no option {unknown}; its options are {names}')
    values = {option.name: options.get(option.name, option.default) for option in known}
    plain = {key: list(v) if isinstance(v, list | tuple) else v for key, v in values.items()}
    return dict(type=name, **plain)


def apply_tuning(host: Host, resolved: dict) -> Tuning:
    """Let a frozen host train as a config resolved by :func:`resolve_tuning` says.

    Raises:
        ValueError: if an option's value is out of its range or does not fit the host.
        ImportError: if a library that it needs is not installed.
    """
    options = {key: value for key, value in resolved.items() if key != 'type'}
    return TUNINGS[resolved['type']](host, **options)
