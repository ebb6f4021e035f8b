"""Compiled blocks and bf16, in runs on a tiny ViT."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lab import equal
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn

from dva_mm.engine import PrecisionHook, compile_encoder, disable_fused_attention

COMPILED = """
default_hooks = dict(compile=dict(type='CompileHook', backend='eager'))
custom_hooks = [dict(type='EMAHook')]
train_cfg = dict(max_epochs=2)
"""


@pytest.fixture
def graphs() -> list:
    """What a backend of torch.compile was given."""
    torch.compiler.reset()
    return []


def test_alike_blocks_and_batches_of_any_size_share_a_compilation(
    build: Callable[..., nn.Module], graphs: list
):
    model, whole = build(), build()
    for up in (n for n in model.state_dict() if '_up.' in n):
        nn.init.normal_(model.get_parameter(up))
    whole.load_state_dict(model.state_dict())
    compile_encoder(model.backbone, lambda graph, _: (graphs.append(graph), graph.forward)[1])
    assert model.state_dict().keys() == whole.state_dict().keys()
    for count in (3, 5, 2):
        images = torch.randn(count, 3, 32, 32)
        for one in (model, whole):
            one.zero_grad()
            one.extract_feat(images).square().sum().backward()
        for one, other in zip(model.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad)
    assert len(graphs) == 2  # no gradient flows to the input of the first block


def test_a_compiled_run_resumes_bit_equal_beside_an_average(
    make_runner: Callable[..., Runner], tmp_path: Path
):
    whole = make_runner(tmp_path / 'whole', child=COMPILED)
    whole.train()
    assert all(block._compiled_call_impl for block in whole.model.backbone.blocks)
    (tmp_path / 'again').mkdir()
    shutil.copy(tmp_path / 'whole' / 'epoch_1.pth', tmp_path / 'again')
    make_runner(tmp_path / 'again', child=COMPILED, resume='auto').train()
    one, other = (
        torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True)
        for name in ('whole', 'again')
    )
    for part in ('state_dict', 'ema_state_dict', 'optimizer'):
        assert equal(one[part], other[part])
    plain = make_runner(tmp_path / 'plain').model.state_dict()
    assert set(one['state_dict']) == {n for n in plain if 'down' in n or 'up' in n or 'head' in n}


def test_bf16_is_the_encoders_and_losses_are_float32(
    make_runner: Callable[..., Runner], tmp_path: Path
):
    child = (
        "default_hooks = dict(precision=dict(type='PrecisionHook'))\n"
        "model = dict(backbone=dict(arch='test_vit', pretrained=False))\n"
    )
    runner = make_runner(tmp_path, {'train_cfg.max_epochs': 1}, child)
    types = []
    runner.model.backbone.blocks[0].attn.register_forward_hook(
        lambda _m, _i, out: types.append(out.dtype)
    )
    runner.train()
    assert set(types) == {torch.bfloat16}  # in the evaluations, too
    assert not any(block.attn.fused_attn for block in runner.model.backbone.blocks)
    assert all(p.dtype == torch.float32 for p in runner.model.parameters())
    batch = runner.model.data_preprocessor(next(iter(runner.train_dataloader)), training=True)
    mixed = runner.model(**batch, mode='loss')
    HOOKS.build(dict(type='PrecisionHook', precision='fp32')).before_run(runner)
    plain = runner.model(**batch, mode='loss')
    for name, value in mixed.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, plain[name], rtol=0.05, atol=0.02)
    assert mixed != plain


def test_plain_attention_has_the_gradients_of_the_fused_one(build: Callable[..., nn.Module]):
    fused, plain = (build(arch='test_vit', pretrained=False, img_size=32) for _ in range(2))
    plain.load_state_dict(fused.state_dict())
    disable_fused_attention(plain)
    assert fused.backbone.blocks[0].attn.fused_attn
    images = torch.randn(3, 3, 32, 32)
    for model in (fused, plain):
        for up in (n for n in model.state_dict() if '_up.' in n):
            nn.init.constant_(model.get_parameter(up), 0.01)
        model.extract_feat(images).square().sum().backward()
    for one, other in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_precision_of_another_model_is_refused():
    class Other:
        model = nn.Linear(2, 2)

    with pytest.raises(ValueError, match='Linear.*AmpOptimWrapper'):
        PrecisionHook().before_run(Other)
