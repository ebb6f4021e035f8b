"""The command show, from its arguments to a page: arguments.py, run.py, model_run.py, looks.py."""

import json
import warnings

import numpy as np
import pytest
from pages import section_data, tags
from PIL import Image
from tiny_data import write_config, write_cub, write_weights

from dva_mm.engine.launch import train
from dva_mm.retrieval import Index, Retriever
from dva_mm.visualization.looks import draw_rows
from dva_mm.visualization.model_run import draw_box
from dva_mm.visualization.run import main
from dva_mm.visualization.shown import sample


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    """A folder with a config and a short run of it."""
    folder = tmp_path_factory.mktemp('lab')
    write_cub(folder / 'cub')
    write_weights(folder / 'vit.safetensors')
    write_config(folder / 'tiny.py', folder / 'cub', folder / 'vit.safetensors')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        train([str(folder / 'tiny.py'), '--work-dir', str(folder / 'run')])
    return folder


def show(lab, *arguments):
    out = lab / 'page.html'
    main([*map(str, arguments), '--out', str(out), '--workers', '0', '--device', 'cpu'])
    return out.read_text(encoding='utf-8')


def scalars(lab):
    (file,) = (lab / 'run').glob('*/vis_data/scalars.json')
    rows = map(json.loads, file.read_text().splitlines())
    found = [{k.removeprefix('before_training/'): v for k, v in row.items()} for row in rows]
    return [row for row in found if 'retrieval/Recall@1' in row]


def headings(page):
    return [line.split('<h2>')[1].split('</h2>')[0] for line in page.splitlines() if '<h2>' in line]


def test_the_page_has_the_figures_that_training_logged(lab):
    page = show(lab, lab / 'tiny.py', lab / 'run' / 'epoch_3.pth', '--topk', '3')
    (data,) = section_data(page)
    assert len(data['queries']) == 18 and data['ks'] == [1, 2, 4, 8]
    assert [row['name'] for row in data['rows']] == ['frozen', 'trained']
    logged = scalars(lab)
    for row, figures in zip(data['rows'], (logged[0], logged[-1]), strict=True):
        for k in data['ks']:
            found = 100 * np.mean([first <= k for first in row['first']])
            assert found == pytest.approx(figures[f'retrieval/Recall@{k}'])
        assert {len(hits) for hits in row['hits']} == {3}
    assert {image[0] for image in data['images']} <= {
        f'{n}.Class_{int(n)}/{i}.png' for n in ('004', '005', '006') for i in range(6)
    }
    assert all(image[2] for image in data['images'])


def test_without_a_checkpoint_the_frozen_encoder_is_shown_on_a_sample(lab):
    (data,) = section_data(show(lab, lab / 'tiny.py', '--queries', '5'))
    assert [row['name'] for row in data['rows']] == ['frozen']
    assert len(data['queries']) == 5


def test_options_of_the_config_count_for_data_and_models(lab):
    options = ('--cfg-options', 'protocol=closed', 'model.backbone.img_size=40')
    size = 'test_dataloader.dataset.pipeline.1.crop_size=40'
    (data,) = section_data(show(lab, lab / 'tiny.py', *options, size))
    assert len(data['classes']) == 6


def test_all_parts_on_one_page_and_as_pictures(lab):
    pytest.importorskip('pytorch_grad_cam', reason='grad-cam is not installed')
    pytest.importorskip('openTSNE', reason='openTSNE is not installed')
    pictures = ('--png', lab / 'ranked.png', '--looks-png', lab / 'looks.png')
    parts = ('--views', '2', '--looks', '2', '--map', '--curves', lab / 'run')
    page = show(lab, lab / 'tiny.py', lab / 'run' / 'epoch_3.pth', *parts, *pictures)
    assert headings(page) == [
        'Queries and what they find',
        'Where the model looks',
        'Where the model looks: class proxies',
        'Map of the embeddings',
        'Views',
        'Curves',
    ]
    ranking, points = section_data(page)
    assert len(points['points']) == len(points['images']) == 18
    alts = [attrs['alt'] for tag, attrs in tags(page) if tag == 'img' and attrs['alt']]
    for caption, count in (
        ('original', 2),
        ('discriminative', 2),
        ('background', 2),
        ('frozen: towards its class', 2),
        ('trained: attention', 2),
        ('trained: towards its nearest', 2),
        ('trained: towards its proxy', 2),
        ('Losses of run', 1),
        ('Metrics of run', 1),
    ):
        assert alts.count(caption) == count
    for name in ('ranked.png', 'looks.png'):
        assert min(Image.open(lab / name).size) > 200


def test_views_and_boxes_alone_run_no_model(lab, monkeypatch):
    from dva_mm.datasets.box_file import BoxEntry, make_header, write_box_file

    entries = [
        BoxEntry(f'images/004.Class_4/{n}.png', 48, 40, 4, 4, 30, 30, score, 'attention')
        for n, score in enumerate((0.9, 0.1, 0.5))
    ]
    header = make_header('attention', {}, [entry.image for entry in entries])
    write_box_file(lab / 'boxes.jsonl', header, entries)
    monkeypatch.setattr(Retriever, 'load', None)
    page = show(lab, lab / 'tiny.py', '--boxes', lab / 'boxes.jsonl', '--views', '1')
    assert headings(page) == ['Views', 'Boxes']
    alts = [attrs['alt'] for tag, attrs in tags(page) if tag == 'img' and 'Class_4' in attrs['alt']]
    assert alts == [
        f'{score} attention images/004.Class_4/{n}.png'
        for n, score in ((1, '0.100'), (2, '0.500'), (0, '0.900'))
    ]


@pytest.mark.parametrize('labels', [None, 'folder'])
def test_the_images_of_an_index_ask_for_one_another(lab, labels, tmp_path):
    retriever = Retriever.load(lab / 'tiny.py', device='cpu')
    images = lab / 'cub' / 'images'
    with Index.build(
        retriever, images, tmp_path / 'photos.index', workers=0, labels=labels
    ) as index:
        paths = {item.path: number for number, item in index.storage.items(range(36)).items()}
        page = show(lab, '--index', tmp_path / 'photos.index', '--topk', '4')
        (data,) = section_data(page)
        assert len(data['queries']) == 36
        row = data['rows'][0]
        assert (row['first'] == [None] * 36) == (labels is None)
        for query, hits in list(zip(data['queries'], row['hits'], strict=True))[::9]:
            own = paths[str(images / data['images'][query][0])]
            expected = [hit.path for hit in index.search(own, k=4, exclude_self=True)]
            assert [str(images / data['images'][hit][0]) for hit in hits] == expected


def test_of_an_index_what_is_shown_is_read(lab, tmp_path, monkeypatch):
    from dva_mm.retrieval.folder import FolderStorage

    retriever = Retriever.load(lab / 'tiny.py', device='cpu')
    out = tmp_path / 'photos.index'
    with Index.build(retriever, lab / 'cub' / 'images', out, workers=0, labels='folder') as index:
        index.remove(ids=[0, 7])
        answers = {i: index.search(i, k=3, exclude_self=True) for i in index.storage.labels()}
        paths = {item.path: i for i, item in index.storage.items(range(36)).items()}
    read, vectors, items = [], FolderStorage.vectors, FolderStorage.items

    def watch(work):
        return lambda self, ids: read.append(len(ids)) or work(self, ids)

    monkeypatch.setattr(FolderStorage, 'vectors', watch(vectors))
    monkeypatch.setattr(FolderStorage, 'items', watch(items))
    page = show(lab, '--index', out, '--topk', '3', '--queries', '4')
    assert read[0] == 4 and read[1] <= 16 and len(read) == 2
    (data,) = section_data(page)
    shown = [
        next(i for path, i in paths.items() if path.endswith(f'/{image[0]}'))
        for image in data['images']
    ]
    for query, hits in zip(data['queries'], data['rows'][0]['hits'], strict=True):
        assert [shown[hit] for hit in hits] == [hit.id for hit in answers[shown[query]]]


@pytest.mark.parametrize(
    'arguments, error, named',
    [
        ([], ValueError, 'CONFIG'),
        (['--views'], ValueError, '--views'),
        (['--looks'], ValueError, '--looks'),
        (['--map', '--curves', 'run'], ValueError, '--map'),
        (['--png', 'a.png', '--index', 'x'], ValueError, '--png'),
        (['tiny.py', '--looks-png', 'a.png'], ValueError, '--looks-png'),
        (['tiny.py', '--topk', '0'], ValueError, '--topk'),
        (['tiny.py', '--queries', '-1'], ValueError, '--queries'),
        (['tiny.py', '--png', '.'], ValueError, '--png'),
        (['tiny.py', 'gone.pth'], FileNotFoundError, 'gone.pth'),
        (['tiny.py', '--boxes', 'gone.jsonl'], FileNotFoundError, 'gone.jsonl'),
        (['gone.py'], FileNotFoundError, 'gone.py'),
        (['--index', 'gone.index'], FileNotFoundError, 'gone.index'),
        (['tiny.py', '--curves', 'cub'], FileNotFoundError, 'cub'),
    ],
)
def test_mistakes_are_named_before_any_model_runs(lab, monkeypatch, arguments, error, named):
    monkeypatch.setattr(Retriever, 'load', None)
    monkeypatch.chdir(lab)
    with pytest.raises(error, match=named):
        main([*arguments, '--out', 'new.html'])
    assert not (lab / 'new.html').exists()


@pytest.mark.parametrize('out', ['.', 'page.txt', '/proc/page.html'])
def test_a_page_that_cannot_be_written_is_refused(lab, out, monkeypatch):
    monkeypatch.chdir(lab)
    with pytest.raises(ValueError, match='--out'):
        main(['tiny.py', '--out', out])


@pytest.mark.parametrize('module, option', [('openTSNE', '--map'), ('pytorch_grad_cam', '--looks')])
def test_a_missing_library_is_named_before_any_model_runs(lab, monkeypatch, module, option):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda n: None if n == module else find(n))
    with pytest.raises(ImportError, match='viz'):
        main([str(lab / 'tiny.py'), option, '--out', str(lab / 'new.html')])


def test_a_sample_is_drawn_by_its_seed():
    assert sample(100, 5, seed=1) == sample(100, 5, seed=1) != sample(100, 5, seed=2)
    assert sample(4, 9, seed=1) == [0, 1, 2, 3]


def test_drawn_rows_hold_each_picture_at_its_place():
    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    picture = draw_rows([('a', [(red, 'x'), (blue, 'y')]), ('b', [(blue, 'z')])], tile=40)
    centres = [picture.getpixel((x, y)) for y in (20, 92) for x in (24, 72)]
    assert centres == [(255, 0, 0), (0, 0, 255), (0, 0, 255), (255, 255, 255)]


def test_a_box_is_drawn_where_it_lies(lab):
    from dva_mm.datasets.box_file import BoxEntry
    from dva_mm.detection.contact_sheet import FOUND, MISSING

    path = lab / 'cub' / 'images' / '004.Class_4' / '0.png'
    for source, colour in (('attention', FOUND), ('fallback', MISSING)):
        drawn = draw_box(path, BoxEntry('0.png', 48, 40, 8, 10, 32, 30, 0.5, source), side=24)
        where = np.argwhere((np.asarray(drawn) == colour).all(axis=2))  # rows of y, x
        assert where.min(axis=0).tolist() == [5, 4] and where.max(axis=0).tolist() == [14, 15]


def test_queries_search_the_official_gallery_alone(lab):
    lines = ['path,label,split']
    for label in range(6):
        for number in range(6):
            side = 'train' if label < 2 else ('query', 'gallery')[number % 2]
            lines.append(f'images/{label + 1:03d}.Class_{label + 1}/{number}.png,c{label},{side}')
    (lab / 'cub' / 'parts.csv').write_text('\n'.join(lines))
    options = ('--cfg-options', f'data_root={lab / "cub" / "parts.csv"}', 'reader=csv')
    (data,) = section_data(show(lab, lab / 'tiny.py', *options, '--topk', '12'))
    number = [int(image[0].split('/')[1][0]) for image in data['images']]
    assert [number[query] % 2 for query in data['queries']] == [0] * 12
    for hits in data['rows'][0]['hits']:
        assert len(set(hits)) == 12 and all(number[hit] % 2 for hit in hits)
