"""ICA, In-Context Adaptation: a bottleneck beside the frozen Q and K projections.

Paper: https://arxiv.org/abs/2506.16273, where only Q and K are adapted. Rank, activation, zero
start, the missing biases and bottlenecks beside further layers are choices of this project (see
docs/method.md).
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from ..plain_vit import PlainViT
from .base import Tuning, check_options
from .bottleneck import ACTIVATIONS, Bottleneck, mlp_of

_LAYERS = {  # targets beside Q, K and V: names within a block of timm's ViTs, of mmpretrain's
    'proj': ('attn.proj',),
    'fc1': ('mlp.fc1', 'ffn.layers.0.0'),
    'fc2': ('mlp.fc2', 'ffn.layers.1'),
}
_TARGETS = ('q', 'k', 'v', *_LAYERS, 'mlp')


class _AddUp(torch.autograd.Function):
    """Add ``s · h Uᵀ`` to some parts of an output in place; its backward copies nothing.

    Takes the output (M, P D) of P parts, the T hidden parts side by side (M, T r), s, P, the T
    places of the adapted parts, and T matrices U (D, r).
    """

    @staticmethod
    def forward(
        ctx, fused: Tensor, hidden: Tensor, scale: float, parts: int, places, *ups: Tensor
    ) -> Tensor:
        outputs, inner = fused.chunk(parts, dim=1), hidden.chunk(len(ups), dim=1)
        for place, part, up in zip(places, inner, ups, strict=True):
            outputs[place].addmm_(part, up.T, alpha=scale)
        ctx.mark_dirty(fused)
        ctx.save_for_backward(hidden, *ups)
        ctx.scale, ctx.parts, ctx.places = scale, parts, places
        return fused

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, *ups = ctx.saved_tensors
        outputs, inner = grad.chunk(ctx.parts, dim=1), hidden.chunk(len(ups), dim=1)
        of_hidden = [ctx.scale * (outputs[p] @ up) for p, up in zip(ctx.places, ups, strict=True)]
        of_ups = [
            ctx.scale * (outputs[p].T @ part) for p, part in zip(ctx.places, inner, strict=True)
        ]
        return grad, torch.cat(of_hidden, dim=1), None, None, None, *of_ups


class ICALinear(nn.Linear):
    """A frozen fused ``qkv`` projection, or another Linear, with trainable bottlenecks.

    For an input x of shape (B, N, C), the frozen W_q, W_k, W_v and the activation σ::

        q = x W_q + s · up_q(σ(down_q(x)))
        k = x W_k + s · up_k(σ(down_k(x)))
        v = x W_v

    It takes over ``weight`` and ``bias`` of the Linear that it replaces and adds ``q_down``,
    ``q_up``, ``k_down``, ``k_up``, so every pre-trained key keeps its name. The up-projections
    start at zero: the output is bit-identical to that Linear's until the first optimiser step.
    Another Linear gets one bottleneck, ``down`` and ``up``, on its whole output.

    >>> qkv = nn.Linear(8, 24)
    >>> x = torch.randn(2, 5, 8)
    >>> torch.equal(ICALinear(qkv, rank=2)(x), qkv(x))
    True

    Args:
        linear: The Linear to replace, (..., C) -> (..., 3D), for Q, K, V in this order;
            ValueError for another, unless ``targets`` is None.
        rank: Width r of the bottleneck. Defaults to 16.
        act: Non-linearity between down and up: 'GELU', 'ReLU' or None. None makes the bottleneck
            linear and so mergeable. Defaults to 'GELU'.
        scale: Factor s on the bottleneck's output. Defaults to 1.0.
        targets: Which of 'q', 'k' and 'v' get a bottleneck; None: the whole output gets one.
            Defaults to ('q', 'k').
    """

    def __init__(
        self,
        linear: nn.Linear,
        rank: int = 16,
        act: str | None = 'GELU',
        scale: float = 1.0,
        targets: Sequence[str] | None = ('q', 'k'),
    ) -> None:
        parts = 1 if targets is None else 3
        if linear.out_features % parts:
            raise ValueError(
                f'ICA needs a qkv Linear with 3D outputs, got {linear.out_features} outputs'
            )
        # The parent's parameters live on 'meta' for an instant: they are replaced, never filled.
        super().__init__(linear.in_features, linear.out_features, device='meta')
        self.weight, self.bias = linear.weight, linear.bias
        self.scale, self.parts = scale, parts
        self.places = {'': 0} if targets is None else {f'{t}_': 'qkv'.index(t) for t in targets}
        options = dict(bias=False, device=linear.weight.device, dtype=linear.weight.dtype)
        for name in self.places:
            down = nn.Linear(linear.in_features, rank, **options)
            up = nn.Linear(rank, linear.out_features // self.parts, **options)
            self.add_module(f'{name}down', down)
            self.add_module(f'{name}up', up)
        self.act = ACTIVATIONS[act]()
        self.reset()

    def _bottlenecks(self) -> Iterator[tuple[int, nn.Linear, nn.Linear]]:
        """Place among the output's parts (0, 1, 2 for Q, K, V), down- and up-projection."""
        for name, place in self.places.items():
            yield place, getattr(self, f'{name}down'), getattr(self, f'{name}up')

    def reset(self) -> None:
        """Back to the start: down-projections random, up-projections zero."""
        for _, down, up in self._bottlenecks():
            down.reset_parameters()
            nn.init.zeros_(up.weight)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, self.in_features)  # (M, C)
        fused = F.linear(tokens, self.weight, self.bias)  # (M, P D)
        places, downs, ups = zip(*self._bottlenecks(), strict=True)
        # One product for all T targets: (M, C) -> (M, T r)
        hidden = self.act(F.linear(tokens, torch.cat([down.weight for down in downs])))
        # A compiler fuses what would be copies here; a trace, such as of a flop counter, takes none
        # of our functions.
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            outputs = list(fused.chunk(self.parts, dim=-1))  # each (M, D)
            for place, up, h in zip(places, ups, hidden.chunk(len(ups), dim=-1), strict=True):
                outputs[place] = outputs[place] + self.scale * up(h)
            fused = torch.cat(outputs, dim=-1)
        else:
            weights = [up.weight.to(fused.dtype) for up in ups]  # under autocast fused is narrow
            fused = _AddUp.apply(fused, hidden, self.scale, self.parts, places, *weights)
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
        outputs = weight.chunk(self.parts, dim=0)  # views, each (D, C)
        for place, down, up in self._bottlenecks():
            outputs[place].add_(self.scale * up.weight @ down.weight)
        linear = nn.Linear(self.in_features, self.out_features, device='meta')
        linear.weight, linear.bias = nn.Parameter(weight, requires_grad=False), self.bias
        return linear


@MODELS.register_module()
class ICA(Tuning):
    """Replace ``attn.qkv``, and other layers, of the chosen blocks by :class:`ICALinear`.

    >>> ICA(targets=['fc1', 'v', 'q']).targets
    ('q', 'v', 'fc1')

    Args:
        rank: Width of the bottlenecks. Defaults to 16.
        act: Non-linearity, 'GELU', 'ReLU' or None, which can be merged. Defaults to 'GELU'.
        scale: Factor on the bottlenecks' outputs. Defaults to 1.0.
        layers: Indices of the blocks to adapt, negative ones from the end. Defaults to None: all.
        targets: Which of 'q', 'k' and 'v', of the attention's output projection, 'proj', of the
            MLP's two layers, 'fc1' and 'fc2', and of the MLP as a whole, 'mlp', get a bottleneck.
            That of 'mlp' lies where AdaptFormer has its own. Defaults to ('q', 'k').

    Raises:
        ValueError: if an option is out of its range, an index names no block of the ViT, or a
            block has no such layer.
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
        if act not in ACTIVATIONS:
            raise ValueError(f"ICA act must be 'GELU', 'ReLU' or None, got {act!r}")
        known = not isinstance(targets, str) and all(target in _TARGETS for target in targets)
        if not targets or not known:
            raise ValueError(f'ICA targets must be a list out of {_TARGETS}, got {targets!r}')
        self.targets = tuple(target for target in _TARGETS if target in targets)
        self.layers = layers
        self.options = dict(rank=rank, act=act, scale=float(scale))

    def apply(self, vit: PlainViT) -> list[ICALinear | Bottleneck]:
        """Replace the Linears; return what trains: of all blocks, then beside their MLPs."""
        count = len(vit.blocks)
        chosen = range(count) if self.layers is None else self.layers
        if bad := [i for i in chosen if not -count <= i < count]:
            raise ValueError(f'ICA layers {bad} are out of range: {vit.name} has {count} blocks')
        indices = sorted(i % count for i in chosen)
        if len(set(indices)) < len(indices) or not indices:
            raise ValueError(f'ICA layers must name each block once, at least one, got {chosen!r}')
        blocks = [vit.blocks[index] for index in indices]
        found = [self._find(block, vit.name) for block in blocks]  # or ValueError
        beside_mlp = blocks if 'mlp' in self.targets else []
        mlps = [mlp_of(block, vit, "ICA with the target 'mlp'") for block in beside_mlp]
        added: list[ICALinear | Bottleneck] = []
        for block, layers in zip(blocks, found, strict=True):
            for name, targets in layers.items():
                added.append(ICALinear(block.get_submodule(name), targets=targets, **self.options))
                block.set_submodule(name, added[-1])
        for block, mlp in zip(beside_mlp, mlps, strict=True):
            block.adapt_mlp = Bottleneck(vit.embed_dims, **self.options)
            mlp.register_forward_hook(block.adapt_mlp.beside)
            added.append(block.adapt_mlp)
        return added

    def _find(self, block: nn.Module, vit: str) -> dict[str, list[str] | None]:
        """Names of the block's layers to replace -> what of each is adapted."""
        of_qkv = [target for target in self.targets if target in ('q', 'k', 'v')]
        found: dict[str, list[str] | None] = {'attn.qkv': of_qkv} if of_qkv else {}
        linears = [name for name, module in block.named_modules() if isinstance(module, nn.Linear)]
        asked = {target: names for target, names in _LAYERS.items() if target in self.targets}
        for target, known in asked.items():
            names = [name for name in known if name in linears]
            if not names:
                raise ValueError(
                    f'ICA targets has {target!r}, and the blocks of {vit} have no such layer, only '
                    f'{linears}; leave {target!r} out of model.backbone.tuning.targets'
                )
            found[names[0]] = None
        return found

    def scale_by(self, module: ICALinear | Bottleneck, share: float) -> None:
        """Multiply s."""
        module.scale *= share

    def merge(self, vit: PlainViT) -> None:
        """Replace each :class:`ICALinear` by a plain Linear; ValueError with an activation."""
        if 'mlp' in self.targets:
            raise ValueError(
                "ICA with the target 'mlp' cannot be merged: a bottleneck beside the whole MLP "
                "folds into none of its weights; train with 'fc1' and 'fc2' instead"
            )
        for block in vit.blocks:
            for name, module in list(block.named_modules()):
                if isinstance(module, ICALinear):
                    block.set_submodule(name, module.merged())
