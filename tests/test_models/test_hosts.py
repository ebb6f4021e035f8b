import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from timm.models import VisionTransformer

from dva_mm.models import FrozenViT, hosts


def build(arch, pretrained, **options):
    return FrozenViT(arch, pretrained=pretrained, **{'img_size': 32, **options})


def host_state(encoder):
    state = encoder.state_dict()
    return {name.removeprefix('host.'): state[name].clone() for name in encoder.base_names()}


def without_head(state):
    return {name: tensor for name, tensor in state.items() if not name.startswith('head.')}


def augreg(state, heads=2, drop=()):
    """A ViT's tensors under the names and in the shapes of Google's AugReg ``.npz`` files."""
    out = {
        'embedding/kernel': state['patch_embed.proj.weight'].permute(2, 3, 1, 0),  # (H, W, 3, C)
        'embedding/bias': state['patch_embed.proj.bias'],
        'cls': state['cls_token'],
        'Transformer/posembed_input/pos_embedding': state['pos_embed'],
        'Transformer/encoder_norm/scale': state['norm.weight'],
        'Transformer/encoder_norm/bias': state['norm.bias'],
        'head/kernel': state['head.weight'].T,
        'head/bias': state['head.bias'],
    }
    width = state['norm.weight'].numel()
    for i in range(sum(name.endswith('.norm1.weight') for name in state)):
        ours, theirs = f'blocks.{i}.', f'Transformer/encoderblock_{i}/'
        for norm, layer_norm in (('norm1', 'LayerNorm_0'), ('norm2', 'LayerNorm_2')):
            out[f'{theirs}{layer_norm}/scale'] = state[f'{ours}{norm}.weight']
            out[f'{theirs}{layer_norm}/bias'] = state[f'{ours}{norm}.bias']
        attention = f'{theirs}MultiHeadDotProductAttention_1/'
        for j, name in enumerate(('query', 'key', 'value')):
            rows = slice(j * width, (j + 1) * width)
            kernel = state[f'{ours}attn.qkv.weight'][rows].T  # (C, C)
            out[f'{attention}{name}/kernel'] = kernel.reshape(width, heads, -1)
            out[f'{attention}{name}/bias'] = state[f'{ours}attn.qkv.bias'][rows].view(heads, -1)
        kernel = state[f'{ours}attn.proj.weight'].T
        out[f'{attention}out/kernel'] = kernel.reshape(heads, -1, width)
        out[f'{attention}out/bias'] = state[f'{ours}attn.proj.bias']
        for j in (1, 2):
            dense = f'{theirs}MlpBlock_3/Dense_{j - 1}/'
            out[f'{dense}kernel'] = state[f'{ours}mlp.fc{j}.weight'].T
            out[f'{dense}bias'] = state[f'{ours}mlp.fc{j}.bias']
    return {name: tensor.contiguous().numpy() for name, tensor in out.items() if name not in drop}


@pytest.mark.parametrize('suffix', ['safetensors', 'pth', 'npz'])
def test_every_format_of_a_file_gives_its_weights(suffix, timm_weights, save_weights, tmp_path):
    if suffix == 'npz':
        file = str(tmp_path / 'vit.npz')
        np.savez(file, **augreg(timm_weights))
    else:
        file = save_weights(timm_weights, f'vit.{suffix}')
    got, want = host_state(build('test_vit', file)), without_head(timm_weights)
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        assert torch.equal(got[name], tensor), name


def test_a_file_in_the_working_directory_or_at_home(
    timm_weights, save_weights, tmp_path, monkeypatch
):
    save_weights(timm_weights)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    infos = [
        build('test_vit', file).encoder_info() for file in ('vit.safetensors', '~/vit.safetensors')
    ]
    assert infos[0] == infos[1]


def test_both_hosts_embed_alike_from_a_timm_file(
    timm_weights, mmpretrain_twin, save_weights, images
):
    file = save_weights(timm_weights)
    plain = timm.create_model('test_vit', img_size=32, num_classes=0).eval()
    plain.load_state_dict(without_head(timm_weights), strict=True)
    for arch in ('test_vit', mmpretrain_twin):
        encoder = build(arch, file)
        torch.testing.assert_close(encoder(images)[0], plain(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize('wrapped', ['bare', 'model', 'state_dict', 'classifier'])
def test_mmpretrain_files(wrapped, mmpretrain_arch, save_weights, randomised):
    want = randomised(host_state(build(mmpretrain_arch, False)))
    checkpoint = want
    if wrapped == 'classifier':
        names = {f'backbone.{name}': tensor for name, tensor in want.items()}
        head = {'head.layers.head.weight': torch.zeros(5, 32), 'data_preprocessor.mean': 1}
        checkpoint = dict(state_dict={**names, **head}, meta=dict(epoch=3))
    elif wrapped != 'bare':
        checkpoint = {wrapped: want}
    got = host_state(build(mmpretrain_arch, save_weights(checkpoint, 'vit.pth')))
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        assert torch.equal(got[name], tensor), name


def test_half_precision_files_become_float32(timm_weights, mmpretrain_twin, save_weights):
    file = save_weights({name: tensor.half() for name, tensor in timm_weights.items()})
    for arch in ('test_vit', mmpretrain_twin):
        state = host_state(build(arch, file))
        assert all(tensor.dtype == torch.float32 for tensor in state.values())
        assert torch.equal(state['pos_embed'], timm_weights['pos_embed'].half().float())


def test_another_img_size_resamples_the_position_embedding_alone(
    timm_weights, mmpretrain_twin, save_weights
):
    file = save_weights(timm_weights)
    grid = timm_weights['pos_embed'][:, 1:].reshape(1, 2, 2, 64).permute(0, 3, 1, 2)
    for arch, antialias in (('test_vit', True), (mmpretrain_twin, False)):
        small, large = build(arch, file), build(arch, file, img_size=64)
        assert large.img_size == large.encoder_info()['img_size'] == 64
        assert large(torch.randn(1, 3, 64, 64))[0].shape == (1, 64)
        want, got = host_state(small), host_state(large)
        resized = F.interpolate(grid, size=(4, 4), mode='bicubic', antialias=antialias)
        want['pos_embed'] = torch.cat(
            (timm_weights['pos_embed'][:, :1], resized.flatten(2).transpose(1, 2)), dim=1
        )
        for name, tensor in want.items():
            torch.testing.assert_close(got[name], tensor, msg=name)


@pytest.mark.parametrize(
    ('theirs', 'ours', 'name'),
    [
        (dict(init_values=1e-5), dict(layer_scale_init_value=1e-5), 'blocks.1.ls2.gamma'),
        (dict(pre_norm=True), dict(pre_norm=True), 'norm_pre.weight'),
    ],
    ids=['layer scale, as DINOv2', 'norm before the blocks, as CLIP'],
)
def test_optional_parts_map_to_mmpretrains_names(
    theirs, ours, name, mmpretrain_twin, save_weights, randomised, images
):
    shape = dict(img_size=32, patch_size=16, embed_dim=64, depth=2, num_heads=2, mlp_ratio=3)
    plain = VisionTransformer(num_classes=0, **shape, **theirs).eval()
    state = randomised(plain.state_dict())
    assert name in state
    plain.load_state_dict(state)
    mmpretrain_twin['arch']['num_layers'] = 2
    encoder = build({**mmpretrain_twin, **ours}, save_weights(state))
    torch.testing.assert_close(encoder(images)[0], plain(images), rtol=0, atol=1e-5)


def test_a_timm_file_with_layer_scale_and_registers(save_weights, randomised):
    want = randomised(timm.create_model('test_vit2', img_size=32, num_classes=0).state_dict())
    got = host_state(build('test_vit2', save_weights(want), pooling='avg'))
    assert got.keys() == want.keys()
    assert torch.equal(got['blocks.7.ls1.gamma'], want['blocks.7.ls1.gamma'])
    assert torch.equal(got['reg_token'], want['reg_token'])


def test_the_hosts_own_img_size_is_kept(mmpretrain_arch):
    assert build('test_vit', False, img_size=None).img_size == 160
    assert build(mmpretrain_arch, False, img_size=None).img_size == 32


def test_a_file_of_another_model_is_refused(arch, timm_weights, save_weights):
    state = {f'encoder.{name}': tensor for name, tensor in timm_weights.items()}
    with pytest.raises(ValueError, match=r"(?s)other\.pth' does not hold weights of .*[Mm]issing"):
        build(arch, save_weights(state, 'other.pth'))


@pytest.mark.parametrize('name', ['cls_token', 'blocks.3.attn.qkv.bias', 'norm.weight'])
def test_a_file_that_lacks_one_tensor_is_refused(name, timm_weights, mmpretrain_twin, save_weights):
    state = {key: tensor for key, tensor in timm_weights.items() if key != name}
    file = save_weights(state, 'torn.safetensors')
    with pytest.raises(ValueError, match=rf"torn.safetensors.*'test_vit'.*missing.*{name}"):
        build('test_vit', file)
    with pytest.raises(ValueError, match=r'torn\.safetensors.*mmpretrain\.VisionTransformer'):
        build(mmpretrain_twin, file)


def test_an_npz_that_lacks_one_tensor_is_refused(timm_weights, tmp_path):
    lost = 'Transformer/encoderblock_3/MlpBlock_3/Dense_1/bias'
    np.savez(tmp_path / 'torn.npz', **augreg(timm_weights, drop=[lost]))
    with pytest.raises(ValueError, match=f"torn.npz' does not hold weights.*{lost}"):
        build('test_vit', str(tmp_path / 'torn.npz'))


def test_a_file_of_another_width_is_refused(arch, timm_weights, save_weights):
    state = {k: torch.cat((t, t), dim=-1) for k, t in timm_weights.items() if t.ndim}
    with pytest.raises(ValueError, match=r"wide\.pth' does not hold weights of"):
        build(arch, save_weights(state, 'wide.pth'))


@pytest.mark.parametrize('suffix', ['pth', 'safetensors', 'npz'])
def test_a_file_that_is_no_checkpoint_is_refused(arch, suffix, tmp_path):
    file = tmp_path / f'page.{suffix}'
    file.write_text('<html>404</html>')
    with pytest.raises(ValueError, match=rf"page\.{suffix}' does not hold weights of"):
        build(arch, str(file))


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('test_vti', r"no model 'test_vti'; the closest are .*'test_vit'"),
        ('test_vit.nope', r"'test_vit\.nope'.*'test_vit\.r160_in1k'"),
        ('test_vit3', r"'test_vit3' has no class token; use pooling='avg'"),  # built as SigLIP
        ('vit_wee_patch16_reg1_gap_256', "no class token; use pooling='avg'"),
        ('test_resnet', r"'test_resnet' as a plain ViT"),
        ('xcit_nano_12_p16_224', "'xcit_nano_12_p16_224' is a Xcit without.*choose a plain ViT"),
    ],
)
def test_a_timm_name_that_will_not_do_is_named(name, message):
    with pytest.raises(ValueError, match=message):
        build(name, False)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(type='BEiTViT'), "VisionTransformer as host, got type='BEiTViT'"),
        (dict(with_cls_token=False), "no class token; use pooling='avg'"),
    ],
)
def test_an_mmpretrain_config_that_will_not_do_is_named(options, message, mmpretrain_arch):
    with pytest.raises(ValueError, match=message):
        build({**mmpretrain_arch, **options}, False)


def test_an_mmpretrain_host_has_no_hub(mmpretrain_arch):
    with pytest.raises(ValueError, match=r'no name on a hub; set model\.backbone\.pretrained'):
        build(mmpretrain_arch, True)


def test_an_unreachable_hub_is_named_with_the_way_out(monkeypatch):
    create_model = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise OSError('the network is unreachable')
        return create_model(name, **options)

    monkeypatch.setattr(hosts.timm, 'create_model', offline)
    with pytest.raises(RuntimeError) as caught:
        build('test_vit.r160_in1k', True)
    for part in (
        "'test_vit.r160_in1k'",
        'timm/test_vit.r160_in1k',
        'OSError: the network is unreachable',
        'model.backbone.pretrained=weights/vit.safetensors',
    ):
        assert part in str(caught.value)


def test_an_mmpretrain_host_without_class_token_pools(mmpretrain_arch, images):
    encoder = build({**mmpretrain_arch, 'with_cls_token': False}, False, pooling='avg')
    host = MODELS.build({**mmpretrain_arch, 'with_cls_token': False, 'out_type': 'raw'})
    host.load_state_dict(host_state(encoder))
    host.train(False)
    torch.testing.assert_close(encoder(images)[0], host(images)[-1].mean(dim=1))
