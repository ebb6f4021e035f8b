import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tiny_vits import FAMILIES

from dva_mm.models import FrozenViT, timm_vit


def build(arch, pretrained=False, **options):
    return FrozenViT(arch, pretrained, **{'img_size': 32, 'tuning': None, **options})


def same(got, want):
    return got.keys() == want.keys() and all(torch.equal(got[n], t) for n, t in want.items())


def augreg(state, heads=2, drop=()):
    """A ViT's tensors under the names and in the shapes of Google's AugReg ``.npz`` files."""
    width = state['norm.weight'].numel()
    out = {
        'embedding/kernel': state['patch_embed.proj.weight'].permute(2, 3, 1, 0),  # (H, W, 3, C)
        'embedding/bias': state['patch_embed.proj.bias'],
        'cls': state['cls_token'],
        'Transformer/posembed_input/pos_embedding': state['pos_embed'],
    }

    def put(theirs, ours, rows=slice(None), kernel=(), bias=(-1,)):
        weight = state[f'{ours}.weight'][rows].t()
        name = 'scale' if weight.ndim == 1 else 'kernel'
        out[f'{theirs}/{name}'] = weight.reshape(kernel or weight.shape)
        out[f'{theirs}/bias'] = state[f'{ours}.bias'][rows].view(bias)

    put('Transformer/encoder_norm', 'norm')
    put('head', 'head')
    for i in range(sum(name.endswith('.norm1.weight') for name in state)):
        ours, theirs = f'blocks.{i}.', f'Transformer/encoderblock_{i}/'
        attention = f'{theirs}MultiHeadDotProductAttention_1/'
        put(f'{theirs}LayerNorm_0', f'{ours}norm1')
        put(f'{theirs}LayerNorm_2', f'{ours}norm2')
        for j, name in enumerate(('query', 'key', 'value')):
            rows = slice(j * width, (j + 1) * width)
            put(f'{attention}{name}', f'{ours}attn.qkv', rows, (width, heads, -1), (heads, -1))
        put(f'{attention}out', f'{ours}attn.proj', kernel=(heads, -1, width))
        for j in (0, 1):
            put(f'{theirs}MlpBlock_3/Dense_{j}', f'{ours}mlp.fc{j + 1}')
    return {name: tensor.contiguous().numpy() for name, tensor in out.items() if name not in drop}


@pytest.mark.parametrize('suffix', ['safetensors', 'pth', 'npz'])
def test_every_format_of_a_file_gives_its_weights(suffix, timm_weights, save_weights, tmp_path):
    np.savez(tmp_path / 'vit.npz', **augreg(timm_weights))
    if suffix != 'npz':
        save_weights(timm_weights, f'vit.{suffix}')
    want = {name: tensor for name, tensor in timm_weights.items() if not name.startswith('head.')}
    assert same(build('test_vit', str(tmp_path / f'vit.{suffix}')).host.state_dict(), want)


def test_a_vit_is_drawn_once(timm_weights, save_weights):
    file = save_weights(timm_weights, 'vit.safetensors')
    torch.manual_seed(0)
    timm.create_model('test_vit', num_classes=0, img_size=32)
    want = torch.rand(1)
    torch.manual_seed(0)
    build('test_vit', file)
    assert torch.equal(torch.rand(1), want)


def test_half_precision_files_become_float32(timm_weights, mmpretrain_twin, save_weights):
    file = save_weights({name: tensor.half() for name, tensor in timm_weights.items()})
    for arch in ('test_vit', mmpretrain_twin):
        state = build(arch, file).host.state_dict()
        assert all(tensor.dtype == torch.float32 for tensor in state.values())
        assert torch.equal(state['pos_embed'], timm_weights['pos_embed'].half().float())


@pytest.mark.parametrize(('img_size', 'width', 'told'), [(64, 64, 64), ((64, 48), 48, [64, 48])])
def test_another_img_size_resamples_the_position_embedding_alone(
    timm_weights, mmpretrain_twin, save_weights, img_size, width, told
):
    file = save_weights(timm_weights)
    first, grid = timm_weights['pos_embed'].split([1, 4], dim=1)
    grid = grid.reshape(1, 2, 2, 64).permute(0, 3, 1, 2)
    for arch, antialias in (('test_vit', True), (mmpretrain_twin, False)):
        small, large = build(arch, file), build(arch, file, img_size=img_size)
        assert (large.img_size, large.encoder_info()['img_size']) == (img_size, told)
        assert large(torch.randn(1, 3, 64, width))[0].shape == (1, 64)
        size = (4, width // 16)
        resized = F.interpolate(grid, size=size, mode='bicubic', antialias=antialias)
        want = small.host.state_dict()
        want['pos_embed'] = torch.cat((first, resized.flatten(2).transpose(1, 2)), dim=1)
        torch.testing.assert_close(dict(large.host.state_dict()), dict(want))


@pytest.mark.parametrize(
    ('arch', 'img_size', 'words'),
    [
        *[('test_vit', size, [repr(size)]) for size in (0, (32,) * 3, 'large', (32, 0.5))],
        ('vit_small_patch14_dinov2', 256, ['256', '14', '252']),  # and the nearest
    ],
)
def test_an_img_size_that_is_none_or_no_whole_number_of_patches_is_named(arch, img_size, words):
    with pytest.raises(ValueError) as error:
        build(arch, img_size=img_size)
    assert all(word in str(error.value) for word in ['img_size', *words])


def test_the_vits_own_img_size_is_kept(mmpretrain_arch):
    assert build('test_vit', img_size=None).img_size == 160
    assert build(mmpretrain_arch, img_size=None).img_size == 32


@pytest.mark.parametrize('family', FAMILIES)
def test_a_file_of_each_family_goes_round(family, tiny_vit, save_weights, randomised):
    arch, pooling = tiny_vit(family), 'map' if family in ('siglip', 'pe') else 'cls'
    want = randomised(build(arch, pooling=pooling).host.state_dict())
    assert same(build(arch, save_weights(want), pooling=pooling).host.state_dict(), want)
    del want['blocks.1.attn.qkv.weight']
    with pytest.raises(ValueError, match='blocks.1.attn.qkv.weight'):
        build(arch, save_weights(want), pooling=pooling)


@pytest.mark.parametrize('family', sorted(set(FAMILIES) - {'deit'}))  # which averages two heads
def test_embeddings_are_those_of_the_vits_own_pooling(family, tiny_vit, save_weights, randomised):
    """Register tokens are not averaged, and RoPE takes part: against timm's own forward."""
    arch, images = tiny_vit(family), torch.randn(2, 3, 32, 48)
    for pooling in ('map',) if family in ('siglip', 'pe') else ('token', 'avg'):
        plain = timm.create_model(arch, num_classes=0, img_size=(32, 48)).eval()
        state = randomised(plain.state_dict())
        plain.load_state_dict(state)
        plain.reset_classifier(0, pooling)
        name = 'cls' if pooling == 'token' else pooling
        encoder = build(arch, save_weights(state), img_size=(32, 48), pooling=name)
        assert torch.equal(encoder(images)[0], plain(images))
    if family in ('siglip', 'pe'):  # not used, so not kept
        assert build(arch, pooling='avg').host.attn_pool is None


@pytest.mark.parametrize('family', ['vit', 'dinov3'])
def test_class_token_and_mean_stand_side_by_side(family, tiny_vit, images):
    arch, images = tiny_vit(family), images[..., :32, :32]
    encoder = build(arch, img_size=32, pooling='cls+avg')
    tokens = encoder.host.forward_features(images)
    halves = tokens[:, 0], tokens[:, encoder.host.num_prefix_tokens :].mean(dim=1)
    want = torch.cat([half / half.norm(dim=1, keepdim=True) for half in halves], dim=1)
    torch.testing.assert_close(encoder(images)[0], want)
    assert encoder.embed_dims == want.shape[1] == 2 * tokens.shape[2]


@pytest.mark.parametrize('name', ['cls_token', 'blocks.3.attn.qkv.bias', 'norm.weight'])
def test_a_file_that_lacks_one_tensor_is_refused(name, timm_weights, mmpretrain_twin, save_weights):
    state = {key: tensor for key, tensor in timm_weights.items() if key != name}
    file = save_weights(state, 'torn.safetensors')
    for arch, word in (('test_vit', name), (mmpretrain_twin, '')):
        with pytest.raises(ValueError, match=f'torn.safetensors.*{word}'):
            build(arch, file)


def test_an_npz_that_lacks_one_tensor_is_refused(timm_weights, tmp_path):
    lost = 'Transformer/encoderblock_3/MlpBlock_3/Dense_1/bias'
    np.savez(tmp_path / 'torn.npz', **augreg(timm_weights, drop=[lost]))
    with pytest.raises(ValueError, match=f'torn.npz.*{lost}'):
        build('test_vit', str(tmp_path / 'torn.npz'))


@pytest.mark.parametrize('fault', ['names', 'width', 'pth', 'safetensors', 'npz'])
def test_a_file_of_another_model_or_none_at_all_is_refused(
    arch, fault, timm_weights, save_weights, tmp_path
):
    states = dict(
        names={f'encoder.{name}': tensor for name, tensor in timm_weights.items()},
        width={name: torch.cat((t, t), dim=-1) for name, t in timm_weights.items()},
    )
    if fault in states:
        file = save_weights(states[fault], 'odd.pth')
    else:
        file = str(tmp_path / f'odd.{fault}')
        (tmp_path / f'odd.{fault}').write_text('<html>404</html>')
    with pytest.raises(ValueError, match=r'odd\.'):
        build(arch, file)


@pytest.mark.parametrize(
    ('name', 'pooling', 'words'),
    [
        ('test_vti', 'cls', ["'test_vti'", "'test_vit'", 'hf-hub']),
        ('test_vit.nope', 'cls', ["'test_vit.nope'", "'test_vit.r160_in1k'"]),
        ('test_vit3', 'cls', ["'test_vit3'", "pooling='avg'", "'map'"]),  # built as SigLIP
        ('test_vit', 'map', ["'test_vit'", 'attention pooling']),
        ('vit_wee_patch16_reg1_gap_256', 'cls', ["pooling='avg'"]),
        ('vit_wee_patch16_reg1_gap_256', 'cls+avg', ["pooling='avg'"]),
        ('test_resnet', 'cls', ["'test_resnet'"]),
        ('xcit_nano_12_p16_224', 'cls', ['Xcit', 'DINOv3']),
        ('eva02_base_patch14_224', 'avg', ['Eva', 'fused']),  # separate projections
        ('vit_pe_spatial_tiny_patch16_512', 'cls', ['norm', "pooling='avg'"]),
    ],
)
def test_a_timm_name_that_will_not_do_is_named(name, pooling, words, tiny_vit):
    with pytest.raises(ValueError) as error:
        build(tiny_vit(name) if 'base' in name else name, pooling=pooling, img_size=None)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    'arch', ['beit_base_patch16_224', 'eva02_tiny_patch14_224', 'vit_tiny_patch16_dinov3_qkvb']
)
def test_attention_that_does_not_call_its_qkv_linear_is_refused(arch, tiny_vit):
    called = []
    vit = timm.create_model(tiny_vit(arch), num_classes=0, img_size=112).eval()
    vit.blocks[0].attn.qkv.register_forward_hook(lambda *_: called.append(True))
    vit(torch.randn(1, 3, 112, 112))
    assert not called
    with pytest.raises(ValueError, match='without calling'):
        build(tiny_vit(arch), pooling='avg')


def test_a_folder_with_weights_and_its_name(tiny_vit, tmp_path, randomised):
    arch = tiny_vit('dinov3')
    state = randomised(build(arch).host.state_dict())
    save_file(state, tmp_path / 'dinov3' / 'model.safetensors')
    encoder = build(arch, pretrained=True)
    assert same(encoder.host.state_dict(), state)
    assert encoder.encoder_info()['name'] == 'local-dir:dinov3'  # wherever it lies


@pytest.mark.parametrize(
    ('arch', 'words'),
    [
        ('test_vit.r160_in1k', ['timm/test_vit.r160_in1k', 'model.backbone.pretrained=']),
        ('hf-hub:someone/vit', ['hf-hub:someone/vit', 'model.backbone.pretrained']),
    ],
)
def test_the_hub_is_left_to_timm_and_named_where_it_fails(monkeypatch, tiny_vit, arch, words):
    folder, create_model, online = tiny_vit('vit'), timm.create_model, True

    def create(name, pretrained=False, **options):
        if (pretrained or ':' in name) and not online:
            raise OSError('the network is unreachable')
        return create_model(folder if ':' in name else name, **options)

    monkeypatch.setattr(timm_vit.timm, 'create_model', create)
    assert build(arch, True).encoder_info()['name'] == arch
    online = False
    with pytest.raises(FileNotFoundError) as caught:
        build(arch, True)
    assert all(word in str(caught.value) for word in ['OSError', 'unreachable', *words])
