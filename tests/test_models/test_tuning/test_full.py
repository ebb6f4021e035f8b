import torch.nn as nn

from dva_mm.models import FrozenViT


def test_bitfit_takes_vectors_alone_and_those_of_every_norm(arch):
    encoder = FrozenViT(arch, False, 32, tuning=dict(type='BitFit'))
    trains = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    assert all(p.dim() == 1 for p in trains.values())
    norms = [n for n, m in encoder.named_modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == 2 * len(encoder.blocks) + 1
    assert all(f'{n}.bias' in trains for n in norms)
