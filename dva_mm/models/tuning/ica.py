"""ICA, In-Context Adaptation: a bottleneck beside the frozen Q and K projections.

Paper: https://arxiv.org/abs/2506.16273. Only Q and K are adapted; rank, activation, zero start and
the missing biases are choices of this project (see docs/method.md).
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from ..plain_vit import PlainViT
from .base import Tuning, check_options

_ACTIVATIONS = {'GELU': nn.GELU, 'ReLU': nn.ReLU, None: nn.Identity}


class _AddUp(torch.autograd.Function):
    """Add ``s · h Uᵀ`` to some thirds of a fused output in place; its backward copies nothing.

    Takes the output (M, 3D), the T hidden parts side by side (M, T r), s, the T places of the
    thirds, and T matrices U (D, r).
    """

    @staticmethod
    def forward(ctx, fused: Tensor, hidden: Tensor, scale: float, places, *ups: Tensor) -> Tensor:
        thirds, parts = fused.chunk(3, dim=1), hidden.chunk(len(ups), dim=1)
        for place, part, up in zip(places, parts, ups, strict=True):
            thirds[place].addmm_(part, up.T, alpha=scale)
        ctx.mark_dirty(fused)
        ctx.save_for_backward(hidden, *ups)
        ctx.scale, ctx.places = scale, places
        return fused

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, *ups = ctx.saved_tensors
        thirds, parts = grad.chunk(3, dim=1), hidden.chunk(len(ups), dim=1)
        of_hidden = [ctx.scale * (thirds[p] @ up) for p, up in zip(ctx.places, ups, strict=True)]
        of_ups = [
            ctx.scale * (thirds[p].T @ part) for p, part in zip(ctx.places, parts, strict=True)
        ]
        return grad, torch.cat(of_hidden, dim=1), None, None, *of_ups


class ICALinear(nn.Linear):
    """A frozen fused ``qkv`` projection with trainable bottlenecks on Q and K.

    For an input x of shape (B, N, C), the frozen W_q, W_k, W_v and the activation σ::

        q = x W_q + s · up_q(σ(down_q(x)))
        k = x W_k + s · up_k(σ(down_k(x)))
        v = x W_v

    It takes over ``weight`` and ``bias`` of the Linear that it replaces and adds ``q_down``,
    ``q_up``, ``k_down``, ``k_up``, so every pre-trained key keeps its name. The up-projections
    start at zero: the output is bit-identical to that Linear's until the first optimiser step.

    >>> qkv = nn.Linear(8, 24)
    >>> x = torch.randn(2, 5, 8)
    >>> torch.equal(ICALinear(qkv, rank=2)(x), qkv(x))
    True

    Args:
        qkv: The Linear to replace, (..., C) -> (..., 3D), for Q, K, V in this order; ValueError
            for another.
        rank: Width r of the bottleneck. Defaults to 16.
        act: Non-linearity between down and up: 'GELU', 'ReLU' or None. None makes the bottleneck
            linear and so mergeable. Defaults to 'GELU'.
        scale: Factor s on the bottleneck's output. Defaults to 1.0.
        targets: Which of 'q', 'k' and 'v' get a bottleneck. Defaults to ('q', 'k').
    """

    def __init__(
        self,
        qkv: nn.Linear,
        rank: int = 16,
        act: str | None = 'GELU',
        scale: float = 1.0,
        targets: Sequence[str] = ('q', 'k'),
    ) -> None:
        if qkv.out_features % 3:
            raise ValueError(
                f'ICA needs a qkv Linear with 3D outputs, got {qkv.out_features} outputs'
            )
        # The parent's parameters live on 'meta' for an instant: they are replaced, never filled.
        super().__init__(qkv.in_features, qkv.out_features, device='meta')
        self.weight, self.bias = qkv.weight, qkv.bias
        self.scale, self.targets = scale, tuple(targets)
        options = dict(bias=False, device=qkv.weight.device, dtype=qkv.weight.dtype)
        for target in self.targets:
            setattr(self, f'{target}_down', nn.Linear(qkv.in_features, rank, **options))
            setattr(self, f'{target}_up', nn.Linear(rank, qkv.out_features // 3, **options))
        self.act = _ACTIVATIONS[act]()
        self.reset()

    def _bottlenecks(self) -> Iterator[tuple[int, nn.Linear, nn.Linear]]:
        """Place in the output (0, 1, 2 for Q, K, V), down-projection, up-projection."""
        for target in self.targets:
            down, up = (getattr(self, f'{target}_{name}') for name in ('down', 'up'))
            yield 'qkv'.index(target), down, up

    def reset(self) -> None:
        """Back to the start: down-projections random, up-projections zero."""
        for _, down, up in self._bottlenecks():
            down.reset_parameters()
            nn.init.zeros_(up.weight)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, self.in_features)  # (M, C)
        fused = F.linear(tokens, self.weight, self.bias)  # (M, 3D)
        places, downs, ups = zip(*self._bottlenecks(), strict=True)
        # One product for all T targets: (M, C) -> (M, T r)
        hidden = self.act(F.linear(tokens, torch.cat([down.weight for down in downs])))
        # A compiler fuses what would be copies here; a trace, such as of a flop counter, takes none
        # of our functions.
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            parts = list(fused.chunk(3, dim=-1))  # each (M, D)
            for place, up, h in zip(places, ups, hidden.chunk(len(ups), dim=-1), strict=True):
                parts[place] = parts[place] + self.scale * up(h)
            fused = torch.cat(parts, dim=-1)
        else:
            weights = [up.weight.to(fused.dtype) for up in ups]  # under autocast fused is narrow
            fused = _AddUp.apply(fused, hidden, self.scale, places, *weights)
        return fused.view(*x.shape[:-1], self.out_features)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The Linear of ``W_q + s · up_q down_q``, K and V alike, for ``act=None``."""
        if not isinstance(self.act, nn.Identity):
            raise ValueError(
                f'ICA with act={type(self.act).__name__!r} is not linear and cannot be merged into '
                'the frozen weight; train with act=None to merge'
            )
        weight = self.weight.detach().clone()
        parts = weight.chunk(3, dim=0)  # views, each (D, C)
        for place, down, up in self._bottlenecks():
            parts[place].add_(self.scale * up.weight @ down.weight)
        linear = nn.Linear(self.in_features, self.out_features, device='meta')
        linear.weight, linear.bias = nn.Parameter(weight, requires_grad=False), self.bias
        return linear


@MODELS.register_module()
class ICA(Tuning):
    """Replace ``attn.qkv`` of the chosen blocks by :class:`ICALinear`.

    >>> ICA(targets=['v', 'q']).targets
    ('q', 'v')

    Args:
        rank: Width of the bottlenecks. Defaults to 16.
        act: Non-linearity, 'GELU', 'ReLU' or None, which can be merged. Defaults to 'GELU'.
        scale: Factor on the bottlenecks' outputs. Defaults to 1.0.
        layers: Indices of the blocks to adapt, negative ones from the end. Defaults to None: all.
        targets: Which of 'q', 'k' and 'v' get a bottleneck. Defaults to ('q', 'k').

    Raises:
        ValueError: if an option is out of its range, or an index names no block of the ViT.
    """

    def __init__(
        self,
        rank: int = 16,
        act: str | None = 'GELU',
        scale: float = 1.0,
        layers: Sequence[int] | None = None,
        targets: Sequence[str] = ('q', 'k'),
    ) -> None:
        check_options('ICA', rank=rank)
        if act not in _ACTIVATIONS:
            raise ValueError(f"ICA act must be 'GELU', 'ReLU' or None, got {act!r}")
        if isinstance(targets, str) or not targets or set(targets) - {'q', 'k', 'v'}:
            raise ValueError(f"ICA targets must be a list out of 'q', 'k' and 'v', got {targets!r}")
        self.targets = tuple(target for target in 'qkv' if target in targets)
        self.layers = layers
        self.options = dict(rank=rank, act=act, scale=float(scale), targets=self.targets)

    def apply(self, vit: PlainViT) -> list[ICALinear]:
        """Replace the Linears; return the replacements in the order of the blocks."""
        count = len(vit.blocks)
        chosen = range(count) if self.layers is None else self.layers
        if bad := [i for i in chosen if not -count <= i < count]:
            raise ValueError(f'ICA layers {bad} are out of range: {vit.name} has {count} blocks')
        indices = sorted(i % count for i in chosen)
        if len(set(indices)) < len(indices) or not indices:
            raise ValueError(f'ICA layers must name each block once, at least one, got {chosen!r}')
        attentions = [vit.blocks[index].attn for index in indices]
        for attention in attentions:
            attention.qkv = ICALinear(attention.qkv, **self.options)
        return [attention.qkv for attention in attentions]

    def scale_by(self, module: ICALinear, share: float) -> None:
        """Multiply s."""
        module.scale *= share

    def merge(self, vit: PlainViT) -> None:
        """Replace each :class:`ICALinear` by a plain Linear; ValueError with an activation."""
        for block in vit.blocks:
            if isinstance(block.attn.qkv, ICALinear):
                block.attn.qkv = block.attn.qkv.merged()
