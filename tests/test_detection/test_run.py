"""tools/cache_boxes.py from a config to a file that can be loaded."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_data import ARCH, HEIGHT, WIDTH, write_config, write_cub, write_folder, write_weights

from dva_mm.datasets.benchmarks.cub import read_cub
from dva_mm.datasets.box_file import BoxEntry, load_box_file, read_box_file
from dva_mm.detection.run import main, summary
from dva_mm.models import FrozenViT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cub(tmp_path / 'cub', num_classes=4, images_per_class=2)


@pytest.fixture
def config(tmp_path: Path, root: Path) -> str:
    weights = write_weights(tmp_path / 'vit.safetensors')
    return str(write_config(tmp_path / 'tiny.py', root, weights))


def run(*arguments: object) -> None:
    main([*map(str, arguments), '--num-workers', '0', '--device', 'cpu'])


def boxes(out: Path) -> list[tuple]:
    return [entry.box for entry in read_box_file(out)[1].values()]


def test_annotations_are_the_data_sets_boxes(config: str, root: Path, tmp_path: Path, capsys):
    out = tmp_path / 'x.jsonl'
    run(config, '--source', 'annotation', '--split', 'all', '--out', out)
    records = read_cub(root).records
    paths = [record.path for record in records]
    assert load_box_file(out, root, paths) == {r.path: r.box for r in records}
    entries = read_box_file(out)[1].values()
    assert {(e.width, e.height, e.score, e.source) for e in entries} == {
        (WIDTH, HEIGHT, 1.0, 'annotation')
    }
    said = capsys.readouterr().out
    assert '8 images: 8 annotation' in said and f'boxes: {out}' in said


def test_images_without_an_annotation_are_fallbacks(config: str, tmp_path: Path, capsys):
    folder = write_folder(tmp_path / 'images', dict(a=2, b=1, c=1, d=1))
    out = tmp_path / 'x.jsonl'
    options = ['--cfg-options', f'data_root={folder}', 'reader=folder', 'protocol=open']
    main([config, '--source', 'annotation', '--out', str(out), *options])
    assert '3 images: 3 fallback' in capsys.readouterr().out
    assert boxes(out) == [(0, 0, WIDTH, HEIGHT)] * 3


def test_the_training_side_alone_is_the_default(config: str, tmp_path: Path):
    out = tmp_path / 'x.jsonl'
    run(config, '--source', 'annotation', '--out', out)
    folders = {image.split('/')[1] for image in read_box_file(out)[1]}
    assert folders == {'001.Class_1', '002.Class_2'}


@pytest.mark.parametrize(
    ('arguments', 'options'),
    [
        (['--source', 'attention', '--block', '-1'], dict(keep=0.7, block=-1)),
        (['--source', 'attention', '--rollout'], dict(keep=0.5, rollout=True)),
        (['--source', 'patch-pca', '--keep', '0.8'], dict(keep=0.8)),
    ],
)
def test_the_encoders_sources_write_boxes(config: str, tmp_path: Path, arguments, options: dict):
    out = tmp_path / 'x.jsonl'
    run(config, *arguments, '--img-size', 64, '--batch-size', 3, '--out', out)
    header, entries = read_box_file(out)
    assert header['source'] == arguments[1]
    encoder = header['options'].pop('encoder')
    assert header['options'].pop('data_preprocessor')['mean'] == [127.5] * 3
    assert header['options'] == options
    weights = str(tmp_path / 'vit.safetensors')
    plain = FrozenViT(ARCH, pretrained=weights, img_size=64, ica=None).encoder_info()
    assert encoder == json.loads(json.dumps(plain))
    assert {entry.source for entry in entries.values()} == {arguments[1]}
    assert all(entry.x1 * 8 % WIDTH == 0 for entry in entries.values())  # on the 8 x 8 grid
    assert len(set(boxes(out))) > 1


def test_a_drawn_object_is_found_where_it_is(config: str, root: Path, tmp_path: Path):
    rng = np.random.default_rng(0)
    known = {}
    for record in read_cub(root).records:
        image = np.full((64, 96, 3), 128, dtype=np.uint8)
        x1, y1 = 12 * int(rng.integers(1, 4)), 8 * int(rng.integers(1, 4))
        image[y1 : y1 + 24, x1 : x1 + 36] = (20, 40, 250)
        cv2.imwrite(record.path, image)
        known[record.path] = (x1, y1, x1 + 36, y1 + 24)
    out = tmp_path / 'x.jsonl'
    arguments = ['--source', 'patch-pca', '--img-size', 64, '--split', 'all', '--out', out]
    run(config, *arguments, '--cfg-options', 'model.backbone.pretrained=False')
    found = load_box_file(out, root, list(known))
    for path, (x1, y1, x2, y2) in known.items():
        a, b, c, d = found[path]
        inter = max(0, min(x2, c) - max(x1, a)) * max(0, min(y2, d) - max(y1, b))
        assert inter / (36 * 24 + (c - a) * (d - b) - inter) > 0.6


def test_shards_and_the_sheet(config: str, tmp_path: Path, capsys):
    out, sheet = tmp_path / 'x.jsonl', tmp_path / 'pictures' / 'x.png'
    arguments = [config, '--source', 'patch-pca', '--out', out, '--sheet', sheet]
    run(*arguments, '--shard', '1/2')
    assert 'shard 1/2 is done; the last one writes' in capsys.readouterr().out
    assert not out.exists() and not sheet.exists()
    run(*arguments, '--shard', '0/2', '--sheet-count', 3)
    assert f'sheet: {sheet}' in capsys.readouterr().out
    assert len(boxes(out)) == 4
    with Image.open(sheet) as picture:
        assert picture.width > 3 * 160


def test_the_default_file_is_below_the_work_directory(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    run(config, '--source', 'annotation')
    assert (tmp_path / 'work_dirs/boxes/cub_train_annotation.jsonl').is_file()


def test_a_share_out_of_range_ends_before_any_image(config: str, tmp_path: Path):
    out = tmp_path / 'made' / 'x.jsonl'
    with pytest.raises(ValueError, match='keep is a share'):
        run(config, '--source', 'attention', '--keep', '60', '--out', out)
    assert not out.parent.exists()


def test_grounding_dino_gets_its_options(config: str, dino_folder: Path, tmp_path: Path):
    out = tmp_path / 'x.jsonl'
    thresholds = ['--box-threshold', 0.01, '--text-threshold', 0.02]
    source = ['--source', 'grounding-dino', '--prompt', 'a bird.', '--model', dino_folder]
    run(config, *source, *thresholds, '--out', out)
    header, entries = read_box_file(out)
    assert header['source'] == 'grounding-dino' and len(entries) == 4
    assert header['options'] == dict(
        model=str(dino_folder), prompt='a bird.', box_threshold=0.01, text_threshold=0.02
    )
    assert {entry.source for entry in entries.values()} == {'grounding-dino'}
    run(config, *source, '--box-threshold', 0.999, '--out', tmp_path / 'none.jsonl')
    header, entries = read_box_file(tmp_path / 'none.jsonl')
    assert header['options']['text_threshold'] == 0.25
    assert {entry.source for entry in entries.values()} == {'fallback'}


@pytest.mark.parametrize('source', ['annotation', 'patch-pca'])
def test_an_image_that_is_listed_twice_is_one_image(config: str, tmp_path: Path, source: str):
    """Its annotation is the larger box, wherever it stands, and rather a box than none."""
    folder = write_folder(tmp_path / 'images', dict(a=4))
    lines = ['0,a,0,0,9,9', '0,b,1,2,20,30', '0,b,,,,', '1,a,,,,', '1,a,3,3,5,6', '2,a,0,0,8,8']
    lines += ['2,a,0,0,8,7', '3,a,-90,0,4,4', '3,a,0,0,5,5']  # the first is the larger only outside
    table, out = folder / 'table.csv', tmp_path / 'x.jsonl'
    table.write_text(
        '\n'.join(['path,label,x1,y1,x2,y2', *(f'a/{i[0]}.png{i[1:]}' for i in lines)])
    )
    arguments = ['--source', source, '--split', 'all', '--out', out]
    run(config, *arguments, '--cfg-options', f'data_root={table}', 'reader=csv')
    assert read_box_file(out)[0]['num_images'] == 4
    if source == 'annotation':
        assert boxes(out) == [(1, 2, 20, 30), (3, 3, 5, 6), (0, 0, 8, 8), (0, 0, 5, 5)]


def test_a_target_that_cannot_be_written_ends_before_any_image(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'work_dirs').write_text('a file')
    with pytest.raises(ValueError, match=r'--out .*cub_train_patch-pca.jsonl cannot be written'):
        run(config, '--source', 'patch-pca')


def test_other_data_sets_and_encoders_are_refused(config: str):
    for change, message in (
        ('train_dataloader.dataset.type=CustomDataset', 'for a FineGrainedDataset.*CustomDataset'),
        ('model.backbone.type=ResNet', 'needs a FrozenViT, model.backbone is a ResNet'),
    ):
        with pytest.raises(ValueError, match=message):
            main([config, '--source', 'attention', '--cfg-options', change])


@pytest.mark.parametrize(
    'options',
    [
        ['model.backbone.ica.rank=-1'],  # would be refused, were it built
        ['model.backbone.ica=None', 'model.backbone.tuning.type=BitFit'],
    ],
)
def test_the_encoder_is_the_frozen_one(config: str, tmp_path: Path, options: list[str]):
    out = tmp_path / 'x.jsonl'
    run(config, '--source', 'patch-pca', '--out', out, '--cfg-options', *options)
    weights = str(tmp_path / 'vit.safetensors')
    plain = FrozenViT(ARCH, pretrained=weights, img_size=32, ica=None).encoder_info()
    assert read_box_file(out)[0]['options']['encoder'] == json.loads(json.dumps(plain))


def test_the_summary_counts_and_measures():
    entries = [
        BoxEntry(str(i), 10, 10, 0, 0, 10, side, score, 'attention')
        for i, (side, score) in enumerate([(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)])
    ]
    entries.append(BoxEntry('x', 10, 10, 0, 0, 10, 10, 0, 'fallback'))
    assert summary(entries) == (
        '6 images: 5 attention, 1 fallback\n'
        'score: median 0.300, middle half 0.200 to 0.400\n'
        'box / image area: median 0.300, middle half 0.200 to 0.400'
    )
