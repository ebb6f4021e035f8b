"""A model that is a file: what a Retriever needs of it, without the code that built it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Normalization(nn.Module):
    """Pixels of 0-255 to a model's input: (B, 3, H, W) uint8 BGR -> float32.

    Args:
        channels: 'RGB' or 'BGR', which the model takes.
        mean, std: Of each channel, in the model's order.

    >>> pixels = torch.tensor([0, 100, 200], dtype=torch.uint8).view(1, 3, 1, 1)
    >>> normalize = Normalization('RGB', mean=[100.0] * 3, std=[50.0] * 3)
    >>> normalize(dict(inputs=pixels))['inputs'].flatten().tolist()
    [2.0, 0.0, -2.0]
    """

    def __init__(self, channels: str, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.reverse = channels == 'RGB'
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any]) -> dict[str, Tensor]:
        pixels = data['inputs']
        pixels = pixels.flip(1) if self.reverse else pixels
        return dict(inputs=(pixels.float() - self.mean) / self.std)


class ExportedModel(nn.Module):
    """Stands where a Retriever has its DVARetriever; it has no blocks and no parameters.

    Args:
        run: Images (B, 3, H, W) float32 -> embeddings (B, D) float32, each of length 1.
        description: See :func:`~dva_mm.export.description.describe`.
        file: What is run, for errors.
    """

    neck = None

    def __init__(
        self, run: Callable[[Tensor], Tensor], description: dict[str, Any], file: str
    ) -> None:
        super().__init__()
        self.description, self.file = description, file
        self._run = [run]  # in a list, no module of this one
        self.backbone = _Encoder(description['dims'])
        self.data_preprocessor = Normalization(**description['normalization'])

    def forward(self, images: Tensor, mode: str = 'tensor') -> Tensor:
        """Embed normalised images."""
        if mode != 'tensor':
            raise ValueError(f'{self.file} is an exported model, which can only embed')
        return self._run[0](images)


class _Encoder(nn.Module):
    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.embed_dims = embed_dims
