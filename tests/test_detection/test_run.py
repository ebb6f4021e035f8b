"""The command from a config to a file that can be loaded."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmpretrain.registry import TASK_UTILS
from PIL import Image
from tiny_data import ARCH, HEIGHT, WIDTH, write_config, write_cub, write_folder, write_weights

from dva_mm.datasets.benchmarks import BENCHMARKS
from dva_mm.datasets.box_file import load_box_file, read_box_file
from dva_mm.detection.run import main, parse_arguments
from dva_mm.detection.source import Detection


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cub(tmp_path / 'cub', num_classes=4, images_per_class=2)


@pytest.fixture
def config(tmp_path: Path, root: Path) -> str:
    weights = write_weights(tmp_path / 'vit.safetensors')
    return str(write_config(tmp_path / 'tiny.py', root, weights))


def run(config: str, *arguments: object) -> None:
    """Everything behind the config: the detector's options first."""
    command = [config, '--detector', *map(str, arguments)]
    main([*command, '--num-workers', '0', '--device', 'cpu'])


def boxes(out: Path) -> list[tuple]:
    return [entry.box for entry in read_box_file(out)[1].values()]


def parse(*arguments: object):
    return parse_arguments(['config.py', '--detector', 'type=X', *map(str, arguments)])


def test_a_detector_is_its_type_and_options(capsys):
    options = ['prompt=a bird, a dog.', 'least=0', 'share=1e-1', 'rollout=true', 'model=/a b=c']
    args = parse_arguments(['config.py', '--detector', 'type=X', *options])
    assert args.detector == dict(
        type='X', prompt='a bird, a dog.', least=0, share=0.1, rollout=True, model='/a b=c'
    )
    assert (args.shard, parse('--shard', '3/4').shard) == ((0, 1), (3, 4))
    with pytest.raises(SystemExit):
        parse_arguments(['config.py', '--detector', 'PatchPCA'])
    assert 'PatchPCA' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        *(('--batch-size', 0), ('--num-workers', -1), ('--sheet-count', 0), ('--sheet', 'x')),
        *(('--sheet', 'x.jsonl'), ('--out', 'file/x.PNG'), ('--sheet', 'file/x.PNG')),
        *(('--shard', shard) for shard in ('3', 'a/b', '2/2/3', '2/2', '0/0', '-1/2')),
    ],
)
def test_options_out_of_range_are_refused(
    option: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path('file').touch()
    if option == '--shard':
        with pytest.raises(SystemExit):
            parse(f'{option}={value}')
        assert value in capsys.readouterr().err
    else:
        with pytest.raises(ValueError, match=f'{option} .*{value}'):
            parse(option, value)


def test_annotations_are_the_data_sets_boxes(config: str, root: Path, tmp_path: Path, capsys):
    out = tmp_path / 'x.jsonl'
    run(config, 'type=AnnotationBoxes', '--split', 'all', '--out', out)
    records = BENCHMARKS['cub'].read(root).records
    paths = [record.path for record in records]
    assert load_box_file(out, root, paths) == {r.path: r.box for r in records}
    entries = read_box_file(out)[1].values()
    assert {(e.width, e.height, e.score, e.source) for e in entries} == {
        (WIDTH, HEIGHT, 1.0, 'annotation')
    }
    said = capsys.readouterr().out
    assert '8 images: 8 annotation' in said and f'boxes: {out}' in said and 'IoU' not in said


@pytest.mark.parametrize('misses', [0, 1, 2, 10])
def test_boxes_are_compared_with_the_data_sets_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, misses: int
):
    """Of ten boxes some hold nothing of their object; one tenth is not warned of yet."""
    root = write_cub(tmp_path / 'cub', num_classes=2, images_per_class=10)
    config = str(write_config(tmp_path / 'tiny.py', root, write_weights(tmp_path / 'vit.pth')))
    known = {record.path: record.box for record in BENCHMARKS['cub'].read(root).records}

    class Corner:
        source = 'corner'

        def __init__(self) -> None:
            self.options = {}

        def prepare(self, path: Path) -> str:
            return str(path)

        def detect(self, inputs: list, sizes: list) -> list[Detection]:
            corner = (0, 0, 1, 1)
            return [
                Detection(corner if int(Path(name).stem) < misses else known[name], 0.5)
                for name in inputs
            ]

    monkeypatch.setitem(TASK_UTILS.module_dict, 'Corner', Corner)
    run(config, 'type=Corner', '--out', tmp_path / 'x.jsonl')
    said = capsys.readouterr().out
    iou, share = 1 - misses / 10, f'{10 * misses}.0%'
    assert f'own 10 boxes: mean IoU {iou:.2f}, {share} hold less than 30% of their object' in said
    assert ('warning: over 10% of the boxes miss their object' in said) is (misses > 1)


def test_images_without_an_annotation_are_fallbacks(config: str, tmp_path: Path, capsys):
    folder = write_folder(tmp_path / 'my images, 2', dict(a=2, b=1, c=1, d=1))
    out = tmp_path / 'x.jsonl'
    options = ['--cfg-options', f'data_root={folder}', 'reader=folder', 'protocol=open']
    run(config, 'type=AnnotationBoxes', '--out', out, *options)
    said = capsys.readouterr().out
    assert '3 images: 3 fallback' in said and 'IoU' not in said
    assert boxes(out) == [(0, 0, WIDTH, HEIGHT)] * 3


@pytest.mark.parametrize(
    ('detector', 'source', 'options', 'tuning'),
    [
        (['type=AttentionBoxes', 'block=-1'], 'attention', dict(keep=0.7, block=-1), '=None'),
        (['type=AttentionBoxes', 'rollout=True'], 'attention', dict(keep=0.5, rollout=True), ''),
        (['type=PatchPCA', 'keep=0.8'], 'patch-pca', dict(keep=0.8), '.type=X'),
    ],
)
def test_the_frozen_encoder_finds_boxes(
    config: str, tmp_path: Path, plain_encoder, detector, source: str, options: dict, tuning: str
):
    """What would train in it is not built."""
    out = tmp_path / 'x.jsonl'
    arguments = ['img_size=64', '--batch-size', 3, '--out', out]
    changed = ['--cfg-options', f'model.backbone.tuning{tuning}'] if tuning else []
    run(config, *detector, *arguments, *changed)
    header, entries = read_box_file(out)
    assert header['source'] == source
    encoder = header['options'].pop('encoder')
    assert header['options'].pop('data_preprocessor')['mean'] == [127.5] * 3
    assert header['options'] == options
    info = plain_encoder(ARCH, 64, pretrained=str(tmp_path / 'vit.safetensors')).encoder_info()
    assert encoder == json.loads(json.dumps(info))
    assert {entry.source for entry in entries.values()} == {source}
    assert all(0 <= entry.score <= 1 for entry in entries.values())
    assert all(entry.x1 * 8 % WIDTH == 0 for entry in entries.values())  # on the 8 x 8 grid
    assert len({image.split('/')[1] for image in entries}) == 2  # the training side alone


@pytest.mark.parametrize('bits', [8, 16])
def test_a_drawn_object_is_found_where_it_is(config: str, root: Path, tmp_path: Path, bits: int):
    """Also on grey images of 16 bits, which Pillow would turn white."""
    rng = np.random.default_rng(0)
    known = {}
    for record in BENCHMARKS['cub'].read(root).records:
        image = np.full((64, 96, 3), 128, dtype=np.uint8)
        x1, y1 = 12 * int(rng.integers(1, 4)), 8 * int(rng.integers(1, 4))
        image[y1 : y1 + 24, x1 : x1 + 36] = (20, 40, 250)
        cv2.imwrite(record.path, image if bits == 8 else image[..., 0].astype(np.uint16) * 257)
        known[record.path] = (x1, y1, x1 + 36, y1 + 24)
    out = tmp_path / 'x.jsonl'
    arguments = ['type=PatchPCA', 'img_size=64', '--split', 'all', '--out', out]
    run(config, *arguments, '--cfg-options', 'model.backbone.pretrained=False')
    found = load_box_file(out, root, list(known))
    for path, (x1, y1, x2, y2) in known.items():
        a, b, c, d = found[path]
        inter = max(0, min(x2, c) - max(x1, a)) * max(0, min(y2, d) - max(y1, b))
        assert inter / (36 * 24 + (c - a) * (d - b) - inter) > 0.6


def test_shards_the_sheet_and_the_default_file(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / 'work_dirs/boxes/cub_train_patch-pca.jsonl'
    sheet = tmp_path / 'pictures' / 'x.PNG'
    arguments = ['type=PatchPCA', '--sheet', sheet]
    run(config, *arguments, '--shard', '1/2')
    assert 'shard 1/2 is done' in capsys.readouterr().out
    assert not out.exists() and not sheet.parent.exists()
    run(config, *arguments, '--shard', '0/2', '--sheet-count', 3)
    assert f'sheet: {sheet}' in capsys.readouterr().out
    assert len(boxes(out)) == 4
    with Image.open(sheet) as picture:
        assert picture.width > 3 * 160


@pytest.mark.parametrize('source', ['AnnotationBoxes', 'PatchPCA'])
def test_an_image_that_is_listed_twice_is_one_image(config: str, tmp_path: Path, source: str):
    """Its annotation is the larger box, wherever it stands, and rather a box than none."""
    folder = write_folder(tmp_path / 'images', dict(a=4))
    lines = ['0,a,0,0,9,9', '0,b,1,2,20,30', '0,b,,,,', '1,a,,,,', '1,a,3,3,5,6', '2,a,0,0,8,8']
    lines += ['2,a,0,0,8,7', '3,a,-9,0,1,9', '3,a,0,0,5,5']  # the first is the larger only outside
    table, out = folder / 'table.csv', tmp_path / 'x.jsonl'
    table.write_text(
        '\n'.join(['path,label,x1,y1,x2,y2', *(f'a/{i[0]}.png{i[1:]}' for i in lines)])
    )
    arguments = [f'type={source}', '--split', 'all', '--out', out]
    run(config, *arguments, '--cfg-options', f'data_root={table}', 'reader=csv')
    assert read_box_file(out)[0]['num_images'] == 4
    if source == 'AnnotationBoxes':
        assert boxes(out) == [(1, 2, 20, 30), (3, 3, 5, 6), (0, 0, 8, 8), (0, 0, 5, 5)]


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (['type=AttentionBoxes', 'keep=60'], '60'),
        (['type=PatchPSA'], 'PatchPCA'),
        (['type=GroundingDINO'], 'prompt'),
        (['type=AnnotationBoxes', '--cfg-options', 'train_dataloader.dataset.type=Other'], 'Other'),
        (['type=PatchPCA', '--cfg-options', 'model.backbone.type=ResNet'], 'ResNet'),
        (['type=PatchPCA', '--out', 'tiny.py/x.jsonl'], '--out tiny.py/x.jsonl'),
    ],
)
def test_mistakes_end_before_any_image(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=named):
        run(config, *arguments)
    assert not (tmp_path / 'work_dirs').exists()


def test_grounding_dino_gets_its_options(config: str, dino_folder: Path, tmp_path: Path):
    out = tmp_path / 'x.jsonl'
    detector = ['type=GroundingDINO', 'prompt=a bird.', f'model={dino_folder}']
    run(config, *detector, 'box_threshold=0.01', 'text_threshold=0.02', '--out', out)
    header, entries = read_box_file(out)
    assert header['source'] == 'grounding-dino' and len(entries) == 4
    assert header['options'] == dict(
        model=str(dino_folder), prompt='a bird.', box_threshold=0.01, text_threshold=0.02
    )
    assert {entry.source for entry in entries.values()} == {'grounding-dino'}
    run(config, *detector, 'box_threshold=0.999', '--out', tmp_path / 'none.jsonl')
    header, entries = read_box_file(tmp_path / 'none.jsonl')
    assert header['options']['text_threshold'] == 0.25
    assert {entry.source for entry in entries.values()} == {'fallback'}
