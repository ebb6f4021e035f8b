"""DVARetriever: all views of a batch through one forward of the encoder."""

import inspect
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from .frozen_vit import FrozenViT
from .gather import check_labels, take_rows
from .moving_teacher import MovingTeacher
from .views import embed_token_views, embed_views, embed_views_and_regions, has_token_views


@MODELS.register_module()
class DVARetriever(BaseModel):
    """A retrieval model: encoder, optional neck, and a head that trains them.

    Training takes one view (B, 3, H, W), the list [original, discriminative, background] that the
    OPA transform makes, or one view and the patches of its object and its background that TokenOPA
    chooses; testing embeds the original view alone and needs no box. The
    ``in_channels`` of neck and head are filled in; the width of another encoder than FrozenViT is
    found by a forward of one image, of its ``img_size`` or of 224 pixels.

    >>> backbone = dict(type='FrozenViT', arch='test_vit', pretrained=False, img_size=32)
    >>> model = DVARetriever(backbone, head=dict(type='DVAHead', num_classes=3))
    >>> model(torch.randn(2, 3, 32, 32)).shape
    torch.Size([2, 64])

    Args:
        backbone: Config of the encoder, :class:`FrozenViT` or any backbone of mmpretrain; one that
            gives feature maps needs a neck such as ``dict(type='GlobalAveragePooling')``.
        head: Config of the head, usually :class:`DVAHead`; it declares ``uses_background``. None
            makes a model that can only embed. Defaults to None.
        neck: Config of a module between encoder and head, such as mmpretrain's LinearNeck; it
            takes the encoder's output tuple. Defaults to None.
        data_preprocessor: Config of the preprocessor, a :class:`ViewsPreprocessor` unless it says
            otherwise. Defaults to None.
        background_swap: Of three views, the share of the original ones whose object is pasted on
            another image's background view (:func:`swap_backgrounds`). Needs ``box`` among the
            algorithm_keys of PackInputs. Defaults to 0.0.
        init_cfg: Initialisation config of MMEngine. Defaults to None.

    Raises:
        ValueError: if the width of the encoder cannot be found.
    """

    #: type in which encoder and neck compute under autocast; None leaves that to the caller
    autocast_dtype: torch.dtype | None = None

    def __init__(
        self,
        backbone: dict,
        head: dict | None = None,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        background_swap: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        if not 0 <= background_swap <= 1:
            raise ValueError(f'DVARetriever background_swap is a share, got {background_swap}')
        preprocessor = dict(data_preprocessor or {})
        if 'type' not in preprocessor:
            preprocessor = dict(type='ViewsPreprocessor', non_blocking=True) | preprocessor
        super().__init__(data_preprocessor=MODELS.build(preprocessor), init_cfg=init_cfg)
        self.background_swap = background_swap
        self.backbone = MODELS.build(backbone)
        self.neck = _build(neck, self._width)
        # Without their number, classes are counted by training, and nothing else needs the head.
        self._uncounted = head is not None and head.get('num_classes', 0) is None
        head = None if self._uncounted else head
        self.head = _build(head, lambda: getattr(self.neck, 'out_channels', 0) or self._width())
        if self._teacher is not None:
            self._teacher.track(self)

    @property
    def _teacher(self) -> MovingTeacher | None:
        return getattr(getattr(self.head, 'dpt', None), 'teacher', None)

    @property
    def _dpt_of_patches(self) -> bool:
        return getattr(getattr(self.head, 'dpt', None), 'patches', 0) > 0

    def _width(self) -> int:
        if isinstance(self.backbone, FrozenViT):
            return self.backbone.embed_dims
        size = getattr(self.backbone, 'img_size', 224)
        image = torch.zeros(1, 3, *([size, size] if isinstance(size, int) else size))
        training = self.backbone.training
        self.backbone.eval()
        try:
            with torch.no_grad():
                features = self.backbone(image)[-1]
            if features.dim() not in (2, 4):
                raise ValueError(f'features of shape {tuple(features.shape)} are no vector or map')
            return features.shape[1]
        except Exception as error:
            raise ValueError(
                f'the width of {type(self.backbone).__name__} could not be found by a forward of '
                f'{tuple(image.shape)}: {error}; set in_channels of model.neck, if it has it, and '
                'model.head'
            ) from error
        finally:
            self.backbone.train(training)

    def extract_feat(
        self, inputs: Tensor, stage: str = 'neck', **options: Tensor
    ) -> Tensor | tuple[Tensor, ...]:
        """Features of images (B, 3, H, W), normalised by the preprocessor, as in mmpretrain.

        Args:
            stage: 'backbone' gives the encoder's output tuple, 'neck' the embeddings (B, C) after
                the neck, if any, of any length. Defaults to 'neck'.
            **options: For the encoder's forward, such as ``patches`` of FrozenViT; with its
                ``regions`` the result is a pair, embeddings and the regions' means.

        Raises:
            ValueError: if ``stage`` is neither, or an image's embedding is no vector.
        """
        if stage not in ('backbone', 'neck'):
            raise ValueError(f"stage must be 'backbone' or 'neck', got {stage!r}")
        dtype = self.autocast_dtype
        with nullcontext() if dtype is None else torch.autocast(inputs.device.type, dtype):
            features = self.backbone(inputs, **options)
            if stage == 'backbone':
                return features
            with_regions = options.get('regions') is not None
            if with_regions:
                features, means = features[:-1], features[-1]
            if self.neck is not None:
                features = self.neck(features)
        embeddings = features[-1] if isinstance(features, list | tuple) else features
        if embeddings.dim() != 2:
            raise ValueError(
                f'{type(self.backbone).__name__} gives features of shape {tuple(embeddings.shape)} '
                "but an embedding is (B, C); set model.neck=dict(type='GlobalAveragePooling') for "
                'feature maps'
            )
        return (embeddings, means) if with_regions else embeddings

    def forward(
        self,
        inputs: Tensor | list[Tensor],
        data_samples: list[DataSample] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[DataSample]:
        """MMEngine's three modes; ValueError for another.

        Args:
            inputs: (B, 3, H, W), or a list of such views, the original first.
            data_samples: One per image; with ``gt_label`` for 'loss'.
            mode: 'tensor' gives unit-norm embeddings (B, C), 'predict' the data samples with
                ``embedding`` (C,) set, 'loss' the loss terms.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        original = inputs[0] if isinstance(inputs, list | tuple) else inputs
        if mode == 'tensor':
            return F.normalize(self.extract_feat(original).float(), dim=1)
        if mode == 'predict':
            return self.predict(original, data_samples)
        raise ValueError(f"mode must be 'tensor', 'predict' or 'loss', got {mode!r}")

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """MMEngine's step; ValueError for a label that is no class, before it goes to a GPU."""
        classes = getattr(self.head, 'num_classes', None)
        if classes is not None:
            check_labels(torch.cat([s.gt_label for s in data['data_samples']]), classes)
        return super().train_step(data, optim_wrapper)

    def predict(
        self, images: Tensor, data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Set ``embedding``, unit-norm (C,), on each data sample."""
        embeddings = self(images)
        samples = data_samples or [DataSample() for _ in embeddings]
        for sample, embedding in zip(samples, embeddings, strict=True):
            sample.set_field(embedding, 'embedding')
        return samples

    def loss(
        self, inputs: Tensor | list[Tensor], data_samples: list[DataSample]
    ) -> dict[str, Tensor]:
        """The head's loss terms on one view or three; see :meth:`DVAHead.loss`.

        Data samples with ``object_patches`` (n,) and ``background_patches`` (n,) make the second
        and third view of one image's patch tokens.

        Background views of images marked ``has_background=False`` are dropped before the forward,
        and all of them for a head that does not use them. ValueError without a head, or for
        another number of views.
        """
        if self.head is None:
            raise ValueError(
                'DVARetriever has no head to train; set '
                + 'model.head.num_classes (tools/train.py counts it)' * self._uncounted
                + "model.head, e.g. to dict(type='DVAHead')" * (not self._uncounted)
            )
        labels = torch.cat([sample.gt_label for sample in data_samples])
        kept = [
            i
            for i, sample in enumerate(data_samples)
            if self.head.uses_background and sample.get('has_background', True)
        ]
        options = {}
        if isinstance(inputs, Tensor):
            z = self.extract_feat(inputs)
            if not has_token_views(data_samples):
                return self.head.loss(z, labels)
            if self._teacher is not None or self._dpt_of_patches:
                raise ValueError(
                    'DPTLoss momentum and patches need the image of each object, and TokenOPA '
                    'gives its patches alone; leave them out, or take OPA'
                )
            z_d, z_b = embed_token_views(self, inputs, data_samples, kept)
        else:
            if self._dpt_of_patches:
                *embeddings, options['regions'] = embed_views_and_regions(
                    self, inputs, data_samples, kept
                )
            else:
                embeddings = embed_views(self, inputs, data_samples, kept)
            z, z_d, z_b = embeddings
            if self._teacher is not None:
                if self.training:
                    self._teacher.update(self)
                options['teacher'] = self._teacher.embed(self, inputs[1])
        return self.head.loss(z, labels, z_d, z_b, take_rows(labels, kept), **options)


def _build(config: dict | None, width: Callable[[], int]) -> nn.Module | None:
    """Build a neck or head, filling in ``in_channels`` where its class takes one."""
    if config is None:
        return None
    cls = MODELS.get(config['type']) if isinstance(config['type'], str) else config['type']
    takes = cls is not None and 'in_channels' in inspect.signature(cls).parameters
    if takes and config.get('in_channels') is None:
        config = {**config, 'in_channels': width()}
    return MODELS.build(config)
