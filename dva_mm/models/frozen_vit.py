"""FrozenViT: a pre-trained plain ViT, frozen, with ICA or one of its rivals to train."""

import copy
import hashlib
from pathlib import Path

from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.registry import MODELS
from torch import Tensor

from .hosts import Host, build_mmpretrain_host, build_timm_host
from .ica import ICALinear, inject_ica
from .tuning import Tuning, apply_tuning, resolve_tuning


@MODELS.register_module()
class FrozenViT(BaseBackbone):
    """A frozen, pre-trained ViT with trainable In-Context Adaptation.

    Every parameter of the host has ``requires_grad=False`` and the host stays in eval mode (no
    dropout, no drop-path) also under ``train()``; the ICA bottlenecks alone train. Blocks below
    the first adapted one build no graph. ``tuning`` puts a rival of ICA in its place; 'Full' and
    'BitFit' then train the host itself.

    Args:
        arch: A timm name of a plain ViT with a fused qkv (ViT, DeiT, AugReg, DINO, DINOv2, CLIP
            visual), or a config dict of mmpretrain's VisionTransformer.
            Defaults to 'vit_base_patch16_224.augreg_in21k'.
        pretrained: True fetches timm's weights from the hub; a path to a ``.safetensors``,
            ``.pth`` or (timm hosts) ``.npz`` file loads that; False leaves the host random. An
            mmpretrain host takes a file in timm's or mmpretrain's names, or a URL.
            Defaults to True.
        img_size: Side of the input in pixels. Other than the checkpoint's resamples the position
            embedding. None keeps the host's own. Defaults to None.
        pooling: 'cls', the class token after the final norm, or 'avg', the mean of the patch
            tokens. Defaults to 'cls'.
        ica: Options of :func:`~dva_mm.models.ica.inject_ica` (layers, rank, act, scale); None
            leaves the host without adapters. Defaults to ``dict(rank=16)``.
        tuning: A rival of ICA, with ``ica=None``: ``type``, a key of
            :data:`~dva_mm.models.tuning.TUNINGS` ('Full', 'BitFit', 'LoRA', 'VPTShallow',
            'VPTDeep', 'AdaptFormer'), and its options. Defaults to None.
        init_cfg: Kept for MMEngine; initialisation never alters the pre-trained weights.

    Shape:
        (B, 3, H, W) -> a tuple with one (B, C) tensor.

    Raises:
        ValueError: if the host is no plain ViT, has no class token for 'cls', a file cannot be
            read or lacks tensors of it, both ``ica`` and ``tuning`` are given, or either has an
            unknown option.
        FileNotFoundError: if ``pretrained`` names a file that does not exist.
        RuntimeError: if the hub cannot be reached.
        ImportError: if ``tuning`` needs a library that is not installed.
    """

    def __init__(
        self,
        arch: str | dict = 'vit_base_patch16_224.augreg_in21k',
        pretrained: bool | str = True,
        img_size: int | None = None,
        pooling: str = 'cls',
        ica: dict | None = dict(rank=16),
        tuning: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling not in ('cls', 'avg'):
            raise ValueError(f"FrozenViT pooling must be 'cls' or 'avg', got {pooling!r}")
        if not isinstance(pretrained, bool | str):
            raise ValueError(
                f'FrozenViT pretrained must be True, False or a file, got {pretrained!r}'
            )
        if ica is not None and tuning is not None:
            raise ValueError(
                f'FrozenViT got both ica={ica!r} and tuning={tuning!r}; for the tuning set '
                'model.backbone.ica=None, for ICA model.backbone.tuning=None'
            )
        self.tuning = None if tuning is None else resolve_tuning(tuning)
        if isinstance(pretrained, str) and '://' not in pretrained:
            path = Path(pretrained).expanduser().absolute()
            if not path.is_file():
                raise FileNotFoundError(
                    f'FrozenViT: the weights file {path} does not exist; set '
                    'model.backbone.pretrained to a .safetensors, .pth or .npz file, to True for '
                    'the hub, or to False for random weights'
                )
        self.arch = arch
        self.pretrained = pretrained
        self.pooling = pooling
        self._info = self._build_host(img_size)
        self.host = self._info.vit.requires_grad_(False)
        self.img_size = self._info.img_size
        self.embed_dims = self._info.embed_dims
        base = self.host.state_dict(keep_vars=True)
        self._base_names = {name: name for name in base}
        self._fingerprint = self._hash_base()
        self.adapters: list[ICALinear] = []
        self.merged = False
        self._tuning = Tuning()
        if ica is not None:
            self.adapters = inject_ica(self.blocks, **ica)
        if self.tuning is not None:
            self._tuning = apply_tuning(self._info, self.tuning)
        # peft renames what it wraps: the tensors of the base are known by their identity.
        names = {id(tensor): name for name, tensor in base.items()}
        present = self.host.state_dict(keep_vars=True)
        self._base_names = {n: names[id(t)] for n, t in present.items() if id(t) in names}
        self._frozen_names = [n for n in self._base_names if not present[n].requires_grad]
        self.train()

    def _build_host(self, img_size: int | None) -> Host:
        build = build_timm_host if isinstance(self.arch, str) else build_mmpretrain_host
        return build(self.arch, self.pretrained, img_size, self.pooling)

    @property
    def blocks(self):
        """The transformer blocks of the host, an ``nn.ModuleList``."""
        return self._info.blocks

    @property
    def num_prompts(self) -> int:
        """Prompt tokens in the sequence: with any, it does not start as the frozen encoder."""
        return self._tuning.num_prompts

    def init_weights(self) -> None:
        """Zero-start the adapters and undo what a parent's ``init_cfg`` did to the host's weights.

        MMEngine initialises parents first and would, for ``init_cfg=dict(layer='Linear')``, draw
        the pre-trained Linears and the zero up-projections anew.
        """
        if self._hash_base() != self._fingerprint:
            pretrained = self._build_host(self.img_size).vit.state_dict()
            state = {present: pretrained[name] for present, name in self._base_names.items()}
            self.host.load_state_dict(state, strict=False)
            self._fingerprint = self._hash_base()  # another only where pretrained=False
        for adapter in self.adapters:
            adapter.reset_adapter()
        for reset in self._tuning.resets:
            reset()

    def base_names(self) -> tuple[str, ...]:
        """Names of the frozen tensors in ``state_dict()``: the host's, less those that train."""
        return tuple(f'host.{name}' for name in self._frozen_names)

    def _hash_base(self) -> str:
        digest = hashlib.sha256()
        state = self.host.state_dict()
        for present, name in sorted(self._base_names.items(), key=lambda names: names[1]):
            tensor = state[present]
            digest.update(f'{name} {tuple(tensor.shape)}'.encode())
            # A resampled position embedding may differ in its last bits between torch versions.
            if name != 'pos_embed':
                digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    def encoder_info(self) -> dict[str, str | int | dict | None]:
        """What a checkpoint must agree with: the pre-trained encoder and the tuning.

        The fingerprint is the head of a SHA-256 over the names, shapes and float32 values of all
        pre-trained tensors, before any training; of the position embedding only the shape counts.
        ``tuning`` holds its type and all its options, or None.
        """
        return dict(
            name=self._info.name,
            img_size=self.img_size,
            patch_size=self._info.patch_size,
            embed_dims=self.embed_dims,
            num_blocks=len(self.blocks),
            pooling=self.pooling,
            fingerprint=self._fingerprint,
            tuning=copy.deepcopy(self.tuning),
        )

    def merge(self) -> None:
        """Fold all ICA adapters into the frozen weights: same embeddings, no cost at inference.

        Raises:
            ValueError: if there are no ICA adapters, or they have an activation.
        """
        if not self.adapters:
            raise ValueError(
                'FrozenViT.merge() folds the adapters of ICA; this encoder has none '
                f'(tuning={self.tuning!r}, merged={self.merged})'
            )
        merged = [(block, block.attn.qkv.merged()) for block in self._adapted_blocks()]
        for block, linear in merged:
            block.attn.qkv = linear
        self.adapters = []
        self.merged = True

    def _adapted_blocks(self) -> list:
        return [block for block in self.blocks if isinstance(block.attn.qkv, ICALinear)]

    def train(self, mode: bool = True) -> 'FrozenViT':
        """Like ``nn.Module.train``, but the host stays in eval mode, save what a tuning trains."""
        super().train(mode)
        self.host.eval()
        for module in self._tuning.modules:
            module.train(mode)
        return self

    def forward(self, x: Tensor) -> tuple[Tensor]:
        tokens = self._info.tokens(x)  # (B, N, C)
        if self.pooling == 'cls':
            return (tokens[:, 0],)
        patches = tokens[:, self._info.num_prefix_tokens + self.num_prompts :]
        return (self._info.pooled_norm(patches.mean(dim=1)),)
