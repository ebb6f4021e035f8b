"""FrozenViT: a pre-trained plain ViT, frozen, with ICA or one of its rivals to train."""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import torch
import torch.nn as nn
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.registry import MODELS
from torch import Tensor

from .fingerprint import hash_tensors, sum_bits
from .mmpretrain_vit import build_mmpretrain_vit
from .plain_vit import POOLINGS, check_img_size, check_weights
from .timm_vit import build_timm_vit
from .tuning import Tuning, build_tuning


@MODELS.register_module()
class FrozenViT(BaseBackbone):
    """A frozen, pre-trained ViT with trainable ICA: (B, 3, H, W) -> a tuple of one (B, C) tensor.

    The host, the ViT, keeps ``requires_grad=False`` and stays in eval mode (no dropout, no
    drop-path) also under ``train()``; the ICA bottlenecks alone train, and blocks below the first
    of them build no graph. Another ``tuning`` puts a rival of ICA in its place; 'Full' and
    'BitFit' then train the host itself.

    >>> encoder = FrozenViT('test_vit', pretrained=False, img_size=32, tuning=dict(type='ICA'))
    >>> encoder(torch.randn(2, 3, 32, 32))[0].shape
    torch.Size([2, 64])
    >>> encoder.encoder_info()['tuning']['rank']
    16

    Args:
        arch: A timm name of a plain ViT with a fused qkv (ViT, DeiT, AugReg, DINO, DINOv2, DINOv3,
            CLIP, SigLIP, Perception Encoder), ``hf-hub:OWNER/NAME`` or ``local-dir:FOLDER`` of one,
            or a config dict of mmpretrain's VisionTransformer.
            Defaults to 'vit_base_patch16_224.augreg_in21k'.
        pretrained: True fetches timm's weights from the hub; a path to a ``.safetensors``,
            ``.pth`` or (timm) ``.npz`` file loads that; False leaves the host random.
            mmpretrain's ViT takes a file in timm's or mmpretrain's names, or a URL.
            Defaults to True.
        img_size: Side of the input in pixels, or (height, width); another than the checkpoint's
            resamples the position embedding. None keeps the host's own. Defaults to None.
        pooling: 'cls', the class token after the final norm, 'avg', the mean of the patch
            tokens, 'cls+avg', both, each at unit length, one after the other (B, 2C), or 'map',
            the host's own attention pooling (SigLIP, Perception Encoder). Defaults to 'cls'.
        tuning: ``type`` and options of a registered :class:`~dva_mm.models.tuning.Tuning` ('ICA',
            'Full', 'BitFit', 'LoRA', 'VPTShallow', 'VPTDeep', 'AdaptFormer'). None trains nothing.
            Defaults to ``dict(type='ICA')``.
        grad_checkpointing: Compute the blocks again in the backward pass instead of keeping their
            activations; timm alone. Defaults to False.
        dynamic_img_size: Take images of other sizes than ``img_size`` too, whose sides are
            multiples of the patch, by resampling the position embedding each time; timm alone,
            mmpretrain's ViT always does. Defaults to False.
        init_cfg: Kept for MMEngine; initialisation never alters the pre-trained weights.

    Raises:
        ValueError: if the host is no plain ViT or lacks what ``pooling`` needs, a file cannot be
            read or lacks tensors of it, or an option is out of its range.
        FileNotFoundError: if ``pretrained`` names a file that does not exist, or the hub cannot be
            reached.
        ImportError: if ``tuning`` needs a library that is not installed.
    """

    def __init__(
        self,
        arch: str | dict = 'vit_base_patch16_224.augreg_in21k',
        pretrained: bool | str = True,
        img_size: int | Sequence[int] | None = None,
        pooling: str = 'cls',
        tuning: dict | None = dict(type='ICA'),
        grad_checkpointing: bool = False,
        dynamic_img_size: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling not in POOLINGS:
            raise ValueError(f'FrozenViT pooling must be one of {POOLINGS}, got {pooling!r}')
        if grad_checkpointing and not isinstance(arch, str):
            raise ValueError(
                "FrozenViT grad_checkpointing=True: mmpretrain's VisionTransformer has none; name "
                "a timm ViT in arch, which loads the same weights, e.g. 'deit_tiny_patch16_224'"
            )
        check_weights(pretrained, init_cfg)
        self._tuning, self.tuning = (Tuning(), None) if tuning is None else build_tuning(tuning)
        self.pooling = pooling
        by_timm = partial(build_timm_vit, dynamic_img_size=dynamic_img_size)
        build = by_timm if isinstance(arch, str) else build_mmpretrain_vit
        self._build_vit = partial(build, arch, pretrained, pooling=pooling)
        self._vit = self._build_vit(None if img_size is None else check_img_size(img_size))
        self.host = self._vit.model
        if grad_checkpointing:
            self.host.set_grad_checkpointing()
        self.img_size = self._vit.img_size
        self.embed_dims = self._vit.embed_dims * (2 if pooling == 'cls+avg' else 1)
        base = self.host.state_dict(keep_vars=True)
        self._base_names = {name: name for name in base}
        self._fingerprint, self._sums = self._describe_base()
        self.merged, self.share = False, 1.0
        self._tuned = self._tuning.apply(self._vit)
        # peft renames what it wraps: the tensors of the base are known by their identity.
        names = {id(tensor): name for name, tensor in base.items()}
        present = self.host.state_dict(keep_vars=True)
        self._base_names = {n: names[id(t)] for n, t in present.items() if id(t) in names}
        for name, parameter in self.host.named_parameters():
            parameter.requires_grad_(self._tuning.trains(name, name not in self._base_names))
        self._frozen_names = [n for n in self._base_names if not present[n].requires_grad]
        self.train()

    @property
    def blocks(self) -> nn.ModuleList | nn.Sequential:
        """The transformer blocks of the host."""
        return self._vit.blocks

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self._vit.patch_size

    @property
    def num_prompts(self) -> int:
        """Prompt tokens in the sequence: with any, it does not start as the frozen encoder."""
        return self._tuning.num_prompts

    def init_weights(self) -> None:
        """Reset what the tuning added, and undo what a parent's ``init_cfg`` drew in the host."""
        if sum_bits(self._base().values()) != self._sums:
            pretrained = self._build_vit(self.img_size).model.state_dict()
            state = {present: pretrained[name] for present, name in self._base_names.items()}
            self.host.load_state_dict(state, strict=False)
            # Others only where pretrained=False.
            self._fingerprint, self._sums = self._describe_base()
        for module in self._tuned:
            self._tuning.reset(module)

    def base_names(self) -> tuple[str, ...]:
        """Names of the frozen tensors in ``state_dict()``: the host's, less those that train."""
        return tuple(f'host.{name}' for name in self._frozen_names)

    def _base(self) -> dict[str, Tensor]:
        """The pre-trained tensors as they are now, by the names that they have in the host."""
        state = self.host.state_dict()
        return {name: state[present] for present, name in self._base_names.items()}

    def _describe_base(self) -> tuple[str, list[int]]:
        base = self._base()
        # A resampled position embedding may differ in its last bits between torch versions.
        return hash_tensors(base, only_shape=('pos_embed',)), sum_bits(base.values())

    def encoder_info(self) -> dict[str, str | int | list[int] | dict | None]:
        """What a checkpoint must agree with: the pre-trained encoder and the tuning.

        The fingerprint is the head of a SHA-256 over the names, shapes and float32 values of all
        pre-trained tensors, before any training; of the position embedding only the shape counts.
        """
        return dict(
            **(dict(share=self.share) if self.share != 1 else {}),
            name=self._vit.name,
            img_size=self.img_size if isinstance(self.img_size, int) else list(self.img_size),
            patch_size=self._vit.patch_size,
            embed_dims=self.embed_dims,
            num_blocks=len(self.blocks),
            pooling=self.pooling,
            fingerprint=self._fingerprint,
            tuning=copy.deepcopy(self.tuning),
        )

    def merge(self) -> None:
        """Fold all ICA adapters into the frozen weights: same embeddings, no cost at inference.

        ValueError if there are none, or they have an activation.
        """
        if self.tuning is None or self.merged:
            raise ValueError(
                'FrozenViT.merge() folds the adapters of ICA; this encoder has none '
                f'(tuning={self.tuning!r}, merged={self.merged})'
            )
        self._tuning.merge(self._vit)
        self._tuned = []
        self.merged = True

    @torch.no_grad()
    def interpolate(self, share: float) -> None:
        """Go from the pre-trained to the tuned encoder by a share, as WiSE-FT does.

        Source: https://arxiv.org/abs/2109.01903. Trained weights of the host become ``θ_0 + share ·
        (θ - θ_0)``; what the tuning adds to outputs is multiplied by ``share``.
        A neck stays that of the tuned encoder.

        Args:
            share: 0 gives the pre-trained encoder, 1 leaves the tuned one; below 0 and above 1 it
                goes on in a straight line.

        Raises:
            ValueError: if what the tuning adds cannot be scaled, the adapters are merged, the
                host's trained weights began at random, or this was done before.
        """
        if self.merged or self.share != 1:
            raise ValueError(
                'FrozenViT.interpolate() goes from the tuned encoder, once; this one is '
                f'merged={self.merged}, at share {self.share}'
            )
        self.share = float(share)
        for module in self._tuned:
            self._tuning.scale_by(module, share)
        trained = [name for name in self._base_names if name not in self._frozen_names]
        if not trained:
            return
        state, pretrained = (
            self.host.state_dict(),
            self._build_vit(self.img_size).model.state_dict(),
        )
        if self._sums != sum_bits(pretrained[name] for name in self._base_names.values()):
            raise ValueError(
                'FrozenViT.interpolate() needs the pre-trained weights again; this encoder began '
                'with random ones (pretrained=False)'
            )
        for name in trained:
            start = pretrained[self._base_names[name]].to(state[name])
            state[name].copy_(start.lerp(state[name], share))

    def train(self, mode: bool = True) -> 'FrozenViT':
        """Like ``nn.Module.train``; the host stays in eval mode, save what the tuning trains."""
        super().train(mode)
        self.host.eval()
        for module in self._tuned:
            module.train(mode)
        return self

    def forward(
        self, x: Tensor, patches: Tensor | None = None, regions: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Embed images.

        Args:
            x: (B, 3, H, W).
            patches: Places of the patch tokens that each image's sequence keeps, (B, n) int64,
                with the position embeddings that they have. Defaults to None: all.
            regions: 1 for patch tokens of one region of each image and 0 for the others, (B, P);
                their means (B, embed_dims of the host) are a second output. Defaults to None.

        Raises:
            ValueError: if ``patches`` are given and the host has RoPE.
        """
        with nullcontext() if patches is None else self._vit.keep_patches(patches):
            tokens = self._vit.tokens(x)  # (B, N, C)
        embedding = self._vit.pool(tokens, self.pooling, self.num_prompts)
        if regions is None:
            return (embedding,)
        return embedding, self._vit.region_means(tokens, regions, self.num_prompts)
