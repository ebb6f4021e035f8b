"""ICA, In-Context Adaptation: a bottleneck beside the frozen Q and K projections.

Paper: https://arxiv.org/abs/2506.16273. Only Q and K are adapted; rank, activation, zero start and
the missing biases are choices of this project (see docs/method.md).
"""

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

_ACTIVATIONS: dict[str | None, type[nn.Module]] = {
    'GELU': nn.GELU,
    'ReLU': nn.ReLU,
    None: nn.Identity,
}


class ICALinear(nn.Linear):
    r"""A frozen fused ``qkv`` projection with trainable bottlenecks on Q and K.

    For an input :math:`x` of shape (B, N, C) and the frozen :math:`W_q, W_k, W_v`:

    .. math::
        q &= x W_q + s \cdot up_q(\sigma(down_q(x))) \\
        k &= x W_k + s \cdot up_k(\sigma(down_k(x))) \\
        v &= x W_v

    It takes over ``weight`` and ``bias`` of the Linear that it replaces, so every pre-trained key
    keeps its name, and adds ``q_down``, ``q_up``, ``k_down``, ``k_up``. The up-projections start at
    zero: the output is bit-identical to the replaced Linear until the first optimiser step.

    Args:
        qkv: The Linear to replace, C -> 3D, whose output holds Q, K, V in this order.
        rank: Width r of the bottleneck. Defaults to 16.
        act: Non-linearity between down and up: 'GELU', 'ReLU' or None. None makes the bottleneck
            linear and so mergeable. Defaults to 'GELU'.
        scale: Factor s on the bottleneck's output. Defaults to 1.0.

    Shape:
        (..., C) -> (..., 3D).

    Raises:
        ValueError: if ``qkv`` has no three equal parts, ``rank`` is not positive, or ``act`` is
            unknown.
    """

    def __init__(
        self, qkv: nn.Linear, rank: int = 16, act: str | None = 'GELU', scale: float = 1.0
    ) -> None:
        if qkv.out_features % 3:
            raise ValueError(
                f'ICA needs a fused qkv Linear with 3D outputs, got {qkv.out_features} outputs'
            )
        if not isinstance(rank, int) or rank < 1:
            raise ValueError(f'ICA rank must be a positive integer, got {rank!r}')
        if act not in _ACTIVATIONS:
            raise ValueError(f"ICA act must be 'GELU', 'ReLU' or None, got {act!r}")
        # The parent's parameters live on 'meta' for an instant: they are replaced, never filled.
        super().__init__(
            qkv.in_features, qkv.out_features, bias=qkv.bias is not None, device='meta'
        )
        self.weight = qkv.weight
        self.bias = qkv.bias
        self.scale = scale
        options = dict(bias=False, device=qkv.weight.device, dtype=qkv.weight.dtype)
        dim = qkv.out_features // 3
        self.q_down = nn.Linear(qkv.in_features, rank, **options)
        self.q_up = nn.Linear(rank, dim, **options)
        self.k_down = nn.Linear(qkv.in_features, rank, **options)
        self.k_up = nn.Linear(rank, dim, **options)
        self.act = _ACTIVATIONS[act]()
        self.reset_adapter()

    def reset_adapter(self) -> None:
        """Back to the start: down-projections random, up-projections zero."""
        for down, up in ((self.q_down, self.q_up), (self.k_down, self.k_up)):
            down.reset_parameters()
            nn.init.zeros_(up.weight)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = F.linear(x, self.weight, self.bias).chunk(3, dim=-1)  # each (..., D)
        q = q + self.scale * self.q_up(self.act(self.q_down(x)))
        k = k + self.scale * self.k_up(self.act(self.k_down(x)))
        return torch.cat((q, k, v), dim=-1)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        r"""A plain Linear with :math:`W_q + s \cdot up_q \, down_q` (K alike) and the same bias.

        Raises:
            ValueError: if an activation stands between down and up.
        """
        if not isinstance(self.act, nn.Identity):
            raise ValueError(
                f'ICA with act={type(self.act).__name__!r} is not linear and cannot be merged into '
                'the frozen weight; train with act=None to merge'
            )
        weight = self.weight.detach().clone()
        q, k, _ = weight.chunk(3, dim=0)  # views, each (D, C)
        q += self.scale * self.q_up.weight @ self.q_down.weight
        k += self.scale * self.k_up.weight @ self.k_down.weight
        linear = nn.Linear(
            self.in_features, self.out_features, bias=self.bias is not None, device='meta'
        )
        linear.weight = nn.Parameter(weight, requires_grad=False)
        if self.bias is not None:
            linear.bias = self.bias
        return linear


def inject_ica(
    blocks: Sequence[nn.Module],
    layers: Sequence[int] | None = None,
    rank: int = 16,
    act: str | None = 'GELU',
    scale: float = 1.0,
) -> list[ICALinear]:
    """Replace ``attn.qkv`` of the chosen transformer blocks by :class:`ICALinear`.

    Args:
        blocks: The encoder's blocks, each with a Linear at ``attn.qkv``.
        layers: Indices of the blocks to adapt, negative ones from the end. None adapts all.
        rank, act, scale: See :class:`ICALinear`.

    Returns:
        The adapters, in the order of the blocks.

    Raises:
        ValueError: if an index is out of range or named twice.
    """
    count = len(blocks)
    chosen = range(count) if layers is None else layers
    if bad := [i for i in chosen if not -count <= i < count]:
        raise ValueError(f'ICA layers {bad} are out of range: the encoder has {count} blocks')
    indices = sorted(i % count for i in chosen)
    if len(set(indices)) < len(indices) or not indices:
        raise ValueError(f'ICA layers must name each block once and at least one, got {layers!r}')
    adapters = []
    for index in indices:
        attention = blocks[index].attn
        attention.qkv = ICALinear(attention.qkv, rank=rank, act=act, scale=scale)
        adapters.append(attention.qkv)
    return adapters
