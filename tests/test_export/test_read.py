import json
import zipfile

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from dva_mm.export import load_exported
from dva_mm.export.onnx_file import write_onnx
from dva_mm.retrieval import Retriever


def description(path):
    session = onnxruntime.InferenceSession(path)
    return json.loads(session.get_modelmeta().custom_metadata_map['dva_mm'])


def truncate(path):
    return path.read_bytes()[: path.stat().st_size // 2]


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


def change_the_description(path):
    return path.read_bytes().replace(b'"RGB"', b'"BGR"')


def append_a_node(path):
    identity = helper.make_graph([], 'more', [], [], [helper.make_tensor('a', 1, [40], [0.0] * 40)])
    return path.read_bytes() + onnx.ModelProto(graph=identity).SerializeToString()


@pytest.mark.parametrize(
    ('suffix', 'change'),
    [
        ('.onnx', truncate),
        ('.onnx', flip_a_bit),
        ('.onnx', change_the_description),
        ('.onnx', append_a_node),
        ('.onnx', lambda path: b''),
        ('.pt2', truncate),
        ('.pt2', flip_a_bit),
        ('.pt2', lambda path: b'no zip'),
    ],
)
def test_a_damaged_or_changed_file_is_named(exported, tmp_path, suffix, change):
    changed = tmp_path / f'changed{suffix}'
    changed.write_bytes(change(exported(suffix)[0]))
    with pytest.raises(ValueError, match=changed.name):
        load_exported(changed, device='cpu')


def test_a_fall_from_the_gpu_to_the_cpu_is_an_error(exported, monkeypatch):
    """ONNX Runtime itself but warns where the provider that it has cannot be started."""
    (path, _), session, given = exported(), onnxruntime.InferenceSession, []

    def start(content, options, providers):
        given.extend(providers)
        return session(content, options, providers=['CPUExecutionProvider'])

    both = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: both)
    monkeypatch.setattr(onnxruntime, 'InferenceSession', start)
    with pytest.raises(ValueError, match=r'CUDAExecutionProvider(?s:.*)onnxruntime-gpu'):
        load_exported(path, device='cuda:1')
    assert given[0] == ('CUDAExecutionProvider', dict(device_id=1, use_tf32=0))


def test_a_file_of_another_program_is_named(tmp_path):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ['n', 4]) for name in 'ab']
    graph = helper.make_graph([helper.make_node('Relu', 'a', 'b')], 'g', values[:1], values[1:])
    opset = [helper.make_opsetid('', 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / 'a.onnx')
    program = torch.export.export(torch.nn.ReLU(), (torch.zeros(2),))
    torch.export.save(program, tmp_path / 'a.pt2')
    with zipfile.ZipFile(tmp_path / 'b.pt2', 'w') as archive:
        archive.writestr('b/extra/dva_mm.json', '{}')
    for name in ('a.onnx', 'a.pt2', 'b.pt2', 'gone.onnx'):
        with pytest.raises((ValueError, FileNotFoundError), match=name):
            load_exported(tmp_path / name)


@pytest.mark.parametrize(
    'transform',
    [
        dict(type='os.system', command='true'),
        dict(type='RandomApply', transforms=[dict(type='os.system', command='true')]),
        dict(type='Compose', transforms=(dict(type='os.system', command='true'),)),
        dict(type='NoSuchTransform'),
    ],
)
def test_a_file_cannot_have_code_imported(exported, tmp_path, transform):
    path = exported()[0]
    changed = description(path)
    changed = {k: v for k, v in changed.items() if k not in ('graph_bytes', 'digest')}
    changed['pipeline'] = repr([dict(type='LoadImage'), transform])
    proto = onnx.load(path)
    del proto.metadata_props[:]
    write_onnx(tmp_path / 'changed.onnx', proto, changed)
    with pytest.raises(ValueError, match='changed.onnx'):
        load_exported(tmp_path / 'changed.onnx')


def test_a_later_version_is_refused(exported, tmp_path):
    path = exported()[0]
    later = description(path) | dict(version=99)
    proto = onnx.load(path)
    del proto.metadata_props[:]
    write_onnx(tmp_path / 'later.onnx', proto, later)
    with pytest.raises(ValueError, match='99'):
        load_exported(tmp_path / 'later.onnx')


@pytest.mark.parametrize(
    ('suffix', 'options', 'said'),
    [
        ('.onnx', dict(precision='bf16'), 'bf16'),
        ('.onnx', dict(compile=True), 'compile'),
        ('.onnx', dict(checkpoint='a.pth'), 'checkpoint'),
        ('.onnx', dict(pretrained='a.pth'), 'pretrained'),
        ('.onnx', dict(device='cuda'), 'cuda'),
        ('.onnx', dict(threads=0), 'threads'),
        ('.pt2', dict(threads=2), 'threads'),
    ],
)
def test_options_that_do_not_apply_are_named(exported, suffix, options, said):
    with pytest.raises(ValueError, match=said):
        Retriever.load(exported(suffix)[0], **options)


def test_threads_are_those_of_torch_or_as_asked(exported, monkeypatch):
    seen = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, content, options, **others):
            seen.append(options.intra_op_num_threads)
            super().__init__(content, options, **others)

    monkeypatch.setattr(onnxruntime, 'InferenceSession', Session)
    Retriever.load(exported()[0])
    Retriever.load(exported()[0], threads=3)
    assert seen == [torch.get_num_threads(), 3]


def test_an_exported_model_only_embeds(exported):
    model = Retriever.load(exported('.pt2')[0], device='cpu').model
    assert not [*model.parameters()]
    with pytest.raises(ValueError, match='ica'):
        model(torch.zeros(1, 3, 32, 32), mode='loss')


def test_a_picture_in_memory_is_embedded_as_its_file(exported, photos):
    retriever = Retriever.load(exported()[0])
    file = next(photos.rglob('*.png'))
    array = cv2.imread(str(file))[..., ::-1]
    rows = [retriever.encode(image, workers=0, progress=False) for image in (str(file), array)]
    assert np.allclose(*rows, atol=1e-6)
