"""DVARetriever: all views of a batch through one forward of the encoder."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor


@MODELS.register_module()
class DVARetriever(BaseModel):
    """A retrieval model: encoder, optional neck, and a head that trains them.

    Training takes one view (B, 3, H, W), or the list [original, discriminative, background] that
    the OPA transform makes; testing embeds the original view alone and needs no box.

    Args:
        backbone: Config of the encoder, usually :class:`FrozenViT`.
        head: Config of the head, usually :class:`DVAHead`; ``in_channels`` is filled in from the
            neck or the encoder. None makes a model that can only embed. Defaults to None.
        neck: Config of a module between encoder and head, such as mmpretrain's LinearNeck; it
            takes the encoder's output tuple and must have ``out_channels``; ``in_channels`` is
            filled in. Defaults to None.
        data_preprocessor: Config of the preprocessor, mmpretrain's SelfSupDataPreprocessor
            unless it says otherwise. Defaults to None.
        init_cfg: Initialisation config of MMEngine. Defaults to None.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict | None = None,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        preprocessor = {'type': 'SelfSupDataPreprocessor', **(data_preprocessor or {})}
        super().__init__(data_preprocessor=MODELS.build(preprocessor), init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        width = self.backbone.embed_dims
        self.neck = None if neck is None else MODELS.build({'in_channels': width, **neck})
        width = width if neck is None else self.neck.out_channels
        self.head = None if head is None else MODELS.build({'in_channels': width, **head})

    def embed(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), normalised by the preprocessor -> embeddings (B, C)."""
        features = self.backbone(images)
        if self.neck is not None:
            features = self.neck(features)
        return features[-1] if isinstance(features, tuple) else features

    def forward(
        self,
        inputs: Tensor | list[Tensor],
        data_samples: list[DataSample] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[DataSample]:
        """MMEngine's three modes.

        Args:
            inputs: (B, 3, H, W), or a list of such views, the original first.
            data_samples: One per image; with ``gt_label`` for 'loss'.
            mode: 'tensor' gives unit-norm embeddings (B, C), 'predict' the data samples with
                ``embedding`` (C,) set, 'loss' the loss terms.

        Raises:
            ValueError: if ``mode`` is none of the three.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        original = inputs[0] if isinstance(inputs, list | tuple) else inputs
        if mode == 'tensor':
            return F.normalize(self.embed(original).float(), dim=1)
        if mode == 'predict':
            return self.predict(original, data_samples)
        raise ValueError(f"mode must be 'tensor', 'predict' or 'loss', got {mode!r}")

    def predict(
        self, images: Tensor, data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Set ``embedding``, unit-norm (C,), on each data sample."""
        embeddings = F.normalize(self.embed(images).float(), dim=1)
        samples = data_samples or [DataSample() for _ in embeddings]
        for sample, embedding in zip(samples, embeddings, strict=True):
            sample.set_field(embedding, 'embedding')
        return samples

    def loss(
        self, inputs: Tensor | list[Tensor], data_samples: list[DataSample]
    ) -> dict[str, Tensor]:
        """The head's loss terms on one view or three; see :meth:`DVAHead.loss`.

        Background views of images marked ``has_background=False`` are dropped before the forward.

        Raises:
            ValueError: if the model has no head, or for another number of views.
        """
        if self.head is None:
            raise ValueError(
                "DVARetriever has no head to train; set model.head, e.g. to dict(type='DVAHead')"
            )
        labels = torch.cat([sample.gt_label for sample in data_samples])
        if isinstance(inputs, Tensor):
            return self.head.loss(self.embed(inputs), labels)
        if len(inputs) != 3:
            raise ValueError(
                'DVARetriever trains on one view or on three (original, discriminative, '
                f'background), got {len(inputs)}'
            )
        original, discriminative, background = inputs
        kept = [i for i, sample in enumerate(data_samples) if sample.get('has_background', True)]
        if self.head.background == 'none':
            kept = []
        views = torch.cat([original, discriminative, background[kept]])  # (2B + B', 3, H, W)
        batch = len(labels)
        z, z_d, z_b = self.embed(views).split([batch, batch, len(kept)])
        return self.head.loss(z, labels, z_d, z_b, labels[kept])
