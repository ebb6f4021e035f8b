import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from dva_mm.export import export, write
from dva_mm.retrieval import Index, Retriever

ROOT = Path(__file__).resolve().parents[2]
KINDS = {
    '.onnx': 'mmpretrain-ica timm-vpt_deep',
    '.pt2': 'mmpretrain-none mmpretrain-linear mmpretrain-lora mmpretrain-vpt_deep mmpretrain-full '
    'timm-none timm-ica timm-adaptformer timm-vpt',
}


@pytest.mark.parametrize(
    ('suffix', 'kind'), [(suffix, kind) for suffix in KINDS for kind in KINDS[suffix].split()]
)
def test_a_file_embeds_as_its_model_does(exported, encode, suffix, kind):
    host, tuning = kind.split('-')
    path, retriever = exported(suffix, 'fp32', host, tuning)
    loaded = Retriever.load(path, device='cpu')
    assert np.abs(encode(loaded) - encode(retriever)).max() < 1e-5
    assert loaded.dims == retriever.dims and loaded.fingerprint == retriever.fingerprint


@pytest.mark.parametrize('suffix', ['.onnx', '.pt2'])
def test_flip_and_workers_are_as_of_the_model(exported, encode, suffix):
    path, retriever = exported(suffix)
    loaded = Retriever.load(path, device='cpu')
    flipped = encode(retriever, flip=True)
    assert np.abs(encode(loaded, flip=True, workers=2) - flipped).max() < 1e-5
    assert np.abs(flipped - encode(retriever)).max() > 1e-3


def products(path):
    nodes = torch.export.load(path).graph.nodes
    return sum('linear' in str(node.target) for node in nodes)


def test_linear_adapters_are_merged_and_others_stay(exported):
    plain, linear, ica = (
        products(exported('.pt2', tuning=t)[0]) for t in ('none', 'linear', 'ica')
    )
    assert plain == linear < ica


def test_half_precision_halves_the_file_and_stays_the_same_model(exported, encode, photos):
    path, retriever = exported()
    half, _ = exported('.onnx', 'fp16')
    difference = np.abs(encode(Retriever.load(half)) - encode(retriever)).max()
    assert 1e-5 < difference < 5e-3
    sizes = [sum(w.ByteSize() for w in onnx.load(p).graph.initializer) for p in (half, path)]
    assert sizes[0] < 0.6 * sizes[1]
    index = Index.build(retriever, photos, photos.parent / 'a.index', workers=0)
    for file in (path, half, exported('.pt2', 'fp16')[0]):
        index.use(Retriever.load(file, device='cpu'))
        hits = index.search([str(f) for f in sorted(photos.rglob('*.png'))], k=1)
        assert min(hit.score for (hit,) in hits) > 0.999


def test_int8_is_another_model_with_an_index_of_its_own(exported, encode, photos):
    path, retriever = exported('.onnx', 'int8')
    loaded = Retriever.load(path)
    cosines = (encode(loaded) * encode(retriever)).sum(axis=1)
    assert 0.9 < cosines.min() < 0.999999
    kinds = {w.data_type for w in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    assert Retriever.load(path).fingerprint == loaded.fingerprint != retriever.fingerprint
    index = Index.build(retriever, photos, photos.parent / 'a.index', workers=0)
    with pytest.raises(ValueError, match=path.name):
        index.use(loaded)
    own = Index.build(loaded, photos, photos.parent / 'b.index', flip=True, workers=0)
    file = str(next(photos.rglob('*.png')))
    assert own.search(file, k=1)[0].path == file
    assert Index.open(photos.parent / 'b.index').search(file, k=1)[0].path == file


def test_the_description_is_enough_for_another_program(exported, photos):
    """Decode, resize and normalise as the file says, without a line of this package."""
    path, retriever = exported()
    session = onnxruntime.InferenceSession(path)
    says = json.loads(session.get_modelmeta().custom_metadata_map['dva_mm'])
    steps = {step['step']: step for step in says['preprocessing']}
    assert list(steps) == ['decode', 'resize', 'center_crop', 'to_tensor', 'normalize']
    file = next(photos.rglob('*.png'))
    image = Image.open(file).convert('RGB')
    assert steps['resize']['interpolation'] == 'bicubic' and steps['resize']['antialias']
    edge = steps['resize']['shorter_edge']
    width, height = (int(edge * side / min(image.size)) for side in image.size)
    image = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    crop = steps['center_crop']
    top, left = round((height - crop['height']) / 2), round((width - crop['width']) / 2)
    image = image[top : top + crop['height'], left : left + crop['width']]
    normalize = steps['normalize']
    assert normalize['channels'] == 'RGB' and normalize['scale'] == 255
    pixels = (image - np.array(normalize['mean'])) / np.array(normalize['std'])
    inputs = pixels.transpose(2, 0, 1)[None].astype(np.float32)
    (row,) = session.run(None, {session.get_inputs()[0].name: inputs})
    assert np.abs(row - retriever.encode(file, workers=0, progress=False)).max() < 2e-3
    assert session.get_inputs()[0].shape == ['batch', 3, 32, 32]
    assert session.get_outputs()[0].shape == ['batch', retriever.dims]


@pytest.mark.parametrize('suffix', ['.onnx', '.pt2'])
def test_nothing_of_this_machine_is_in_a_file(exported, suffix):
    content = exported(suffix)[0].read_bytes()
    assert str(ROOT).encode() not in content and b'.py"' not in content


def test_a_neck_is_part_of_the_model(make, encode, tmp_path):
    retriever = make('mmpretrain', 'none', neck=dict(type='LinearNeck', out_channels=5))
    export(retriever, tmp_path / 'neck.pt2')
    loaded = Retriever.load(tmp_path / 'neck.pt2', device='cpu')
    assert loaded.dims == 5
    assert np.abs(encode(loaded) - encode(retriever)).max() < 1e-5


def test_a_file_that_disagrees_is_not_written(make, tmp_path, monkeypatch):
    retriever, path = make(), tmp_path / 'model.pt2'
    path.write_text('old')

    original = write.read_pt2

    def read(*args):
        run, description = original(*args)
        return lambda images: run(images + 0.01), description

    monkeypatch.setattr(write, 'read_pt2', read)
    with pytest.raises(ValueError, match='fp32'):
        export(retriever, path)
    assert path.read_text() == 'old' and [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ('name', 'precision', 'said'),
    [
        ('model.bin', 'fp32', 'model.bin'),
        ('model.onnx', 'int4', 'int4'),
        ('model.pt2', 'int8', 'int8'),
        ('', 'fp32', '.onnx'),
    ],
)
def test_what_cannot_be_written_is_refused(make, tmp_path, name, precision, said):
    with pytest.raises(ValueError, match=said):
        export(make(), tmp_path / name, precision)


def test_an_exported_model_is_not_exported_again(exported, tmp_path):
    loaded = Retriever.load(exported('.pt2')[0], device='cpu')
    with pytest.raises(ValueError, match='ica'):
        export(loaded, tmp_path / 'again.pt2')


def test_an_encoder_that_cannot_be_traced_is_named(make, tmp_path, monkeypatch):
    retriever = make()
    hook = retriever.model.backbone.register_forward_pre_hook(
        lambda module, inputs: (inputs[0] * float(inputs[0].sum()),)
    )
    with pytest.raises(ValueError, match='FrozenViT'):
        export(retriever, tmp_path / 'model.pt2')
    hook.remove()
    assert not [*tmp_path.iterdir()]


def test_a_large_batch_and_one_image_agree(exported):
    path, _ = exported()
    model = Retriever.load(path).model
    images = torch.randn(33, 3, 32, 32)
    rows = model(images)
    assert torch.allclose(rows[32:], model(images[32:]), atol=1e-5)
