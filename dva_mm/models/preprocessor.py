"""ViewsPreprocessor: pixels of all views to the encoder's input, without waiting for the device."""

from typing import Any

from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ViewsPreprocessor(SelfSupDataPreprocessor):
    """Copy views to the model's device, reverse their channels, and normalise them.

    It computes what mmpretrain's SelfSupDataPreprocessor does and takes its options. That one
    reverses channels by a list of indices, of which each copy to a GPU waits until the GPU has
    done all that was asked of it before. DVARetriever sets ``non_blocking=True``, so that copies
    from pinned memory overlap with the computation as well.

    >>> import torch
    >>> preprocessor = ViewsPreprocessor(mean=[1.0] * 3, std=[2.0] * 3, to_rgb=True)
    >>> bgr = torch.tensor([3, 5, 7], dtype=torch.uint8).view(1, 3, 1, 1)
    >>> preprocessor(dict(inputs=bgr, data_samples=None))['inputs'].flatten().tolist()
    [3.0, 2.0, 1.0]
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Preprocess a batch.

        Args:
            data: ``inputs``, (B, 3, H, W) uint8 or a list of such views, and ``data_samples``.
            training: Changes nothing. Defaults to False.

        Returns:
            The same, ``inputs`` as float32 on the model's device.
        """
        inputs, samples = self.cast_data([data['inputs'], data.get('data_samples')])
        if isinstance(inputs, list):
            return dict(inputs=[self._normalize(view) for view in inputs], data_samples=samples)
        return dict(inputs=self._normalize(inputs), data_samples=samples)

    def _normalize(self, pixels: Tensor) -> Tensor:
        pixels = (pixels.flip(-3) if self._channel_conversion else pixels).float()
        return (pixels - self.mean) / self.std if self._enable_normalize else pixels
