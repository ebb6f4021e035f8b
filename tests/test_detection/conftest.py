"""What more than one test of the sources needs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dva_mm.models import FrozenViT

WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'bird', '.']


@pytest.fixture(scope='session')
def plain_encoder() -> Callable[..., FrozenViT]:
    """Make a frozen encoder in which nothing trains."""

    def make(arch: str | dict, img_size: int, pretrained: bool | str = False, **options):
        return FrozenViT(arch, pretrained, img_size, tuning=None, **options)

    return make


@pytest.fixture(scope='session')
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Grounding DINO and its processor, as they are saved for model=FOLDER."""
    pytest.importorskip('transformers', reason='transformers is missing (extra detector)')
    from transformers import (
        BertConfig,
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    folder = tmp_path_factory.mktemp('dino')
    vocabulary = folder / 'vocab.txt'
    vocabulary.write_text('\n'.join(WORDS) + '\n')
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=32,
            patch_size=4,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=2,
            out_features=['stage2', 'stage3', 'stage4'],
        ).to_dict(),
        text_config=BertConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
        ).to_dict(),
        d_model=64,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=5,
        max_text_len=16,
        disable_custom_kernels=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GroundingDinoForObjectDetection(config)
    model.model.decoder.layer_norm.weight.data.mul_(0.01)  # else all scores round to 1
    model.save_pretrained(folder)
    image_processor = GroundingDinoImageProcessor(size=dict(shortest_edge=32, longest_edge=64))
    tokenizer = BertTokenizer(str(vocabulary))
    GroundingDinoProcessor(image_processor, tokenizer).save_pretrained(folder)
    return folder
