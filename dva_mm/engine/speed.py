"""The encoder's speed by the config: ``compile = True`` and ``precision = 'bf16'``."""

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from .checkpoint import unwrap

PRECISIONS = {'fp32': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}
"""Type in which autocast computes matrix products, by name."""


def compile_encoder(encoder: nn.Module, backend: str = 'inductor') -> None:
    """Compile an encoder in place by ``torch.compile``; the names of its tensors stay.

    Of a :class:`~dva_mm.models.FrozenViT` each block is compiled, and blocks that are alike share
    one compilation; another encoder is compiled as a whole. The number of images is a symbol, so
    that a batch of another size is computed by the same code: a resumed run repeats an
    uninterrupted one.

    Args:
        encoder: The module, changed in place. It compiles in its first forward.
        backend: As of ``torch.compile``. Defaults to 'inductor', which on a CPU needs a C++
            compiler.

    >>> from dva_mm.models import FrozenViT
    >>> encoder = FrozenViT('test_vit', pretrained=False, img_size=32)
    >>> compile_encoder(encoder, backend='eager')
    >>> encoder(torch.randn(2, 3, 32, 32))[0].shape
    torch.Size([2, 64])
    """
    from dva_mm.models import FrozenViT  # an exported model runs without it

    for module in encoder.blocks if isinstance(encoder, FrozenViT) else [encoder]:
        module.compile(dynamic=True, backend=backend)


def disable_fused_attention(model: nn.Module) -> None:
    """Let the attention of timm's encoders be plain matrix products and a softmax, in place.

    On a CPU the backward of torch's fused attention is slow in bf16; in float32, and on a GPU, it
    is the faster one. It is the same function, but for rounding, and keeps more for the backward:
    the (B, heads, N, N) weights of N tokens.

    Args:
        model: Any module; its parts with timm's ``fused_attn`` are changed.

    >>> from dva_mm.models import FrozenViT
    >>> encoder = FrozenViT('test_vit', pretrained=False, img_size=32)
    >>> disable_fused_attention(encoder)
    >>> encoder.blocks[0].attn.fused_attn
    False
    """
    for module in model.modules():
        if hasattr(module, 'fused_attn'):
            module.fused_attn = False


def set_speed(cfg: Config, amp: bool = False) -> None:
    """Replace ``compile`` and ``precision`` of a config by what carries them out, in place.

    ``compile``, True or options of :class:`CompileHook`, becomes that hook: MMEngine's Runner
    would compile the optimiser's step too. ``precision='bf16'`` becomes a :class:`PrecisionHook`,
    and 'fp16' MMEngine's AmpOptimWrapper, which scales the loss.

    Args:
        cfg: Config of a run.
        amp: Without ``precision`` in the config, take 'fp16' on a GPU and 'bf16' on a CPU.
            Defaults to False.

    Raises:
        ValueError: If ``precision`` is unknown, or 'fp16' shall train without a GPU.

    >>> cfg = Config(dict(compile=True, precision='bf16'))
    >>> set_speed(cfg)
    >>> cfg.default_hooks
    {'compile': {'type': 'CompileHook'}, 'precision': {'type': 'PrecisionHook'}}
    """
    on_gpu = torch.cuda.is_available()
    compile_cfg, precision = cfg.pop('compile', None), cfg.pop('precision', None)
    if precision is None:
        precision = ('fp16' if on_gpu else 'bf16') if amp else 'fp32'
    if precision not in PRECISIONS:
        raise ValueError(f'precision must be one of {list(PRECISIONS)}, got {precision!r}')
    hooks = dict(cfg.get('default_hooks') or {})
    if compile_cfg:
        options = {} if compile_cfg is True else compile_cfg
        hooks['compile'] = dict(type='CompileHook', **options)
    if precision == 'bf16':
        hooks['precision'] = dict(type='PrecisionHook')
    cfg.default_hooks = hooks
    if precision != 'fp16':
        return
    if not on_gpu:
        raise ValueError("precision='fp16' needs a GPU, and torch sees none; use 'bf16'")
    if cfg.get('optim_wrapper'):
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    for name in ('val_cfg', 'test_cfg'):
        if cfg.get(name) is not None:  # usually an empty dict
            cfg[name].fp16 = True


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the encoder before a run as :func:`compile_encoder` does, and not the optimiser.

    Args:
        backend: As of ``torch.compile``. Defaults to 'inductor'.

    >>> hook = CompileHook(backend='eager')
    """

    def __init__(self, backend: str = 'inductor') -> None:
        self.backend = backend

    def before_run(self, runner: Runner) -> None:
        """Compile; it takes place in the first forward."""
        model = unwrap(runner.model)
        compile_encoder(getattr(model, 'backbone', model), self.backend)


@HOOKS.register_module()
class PrecisionHook(Hook):
    """Let the encoder of a :class:`~dva_mm.models.DVARetriever` compute under autocast.

    Losses, weights, gradients of the weights and the optimiser stay in float32. On a CPU it also
    calls :func:`disable_fused_attention`.

    Args:
        precision: 'bf16', which needs no scaled loss, or 'fp32'. Defaults to 'bf16'.

    >>> hook = PrecisionHook()
    """

    def __init__(self, precision: str = 'bf16') -> None:
        self.dtype = PRECISIONS[precision]

    def before_run(self, runner: Runner) -> None:
        """Set the model's ``autocast_dtype``, also for its evaluation; ValueError without one."""
        model = unwrap(runner.model)
        if not hasattr(model, 'autocast_dtype'):
            raise ValueError(
                f"precision='bf16' is for model.type='DVARetriever', got {type(model).__name__}; "
                "set optim_wrapper.type='AmpOptimWrapper' and optim_wrapper.dtype='bfloat16'"
            )
        model.autocast_dtype = self.dtype
        if self.dtype == torch.bfloat16 and next(model.parameters()).device.type == 'cpu':
            disable_fused_attention(model)
