"""The registered data set's sides: held-out classes, galleries, super-classes and the check."""

import functools
import logging
from pathlib import Path

import archives
import numpy as np
import pytest
from PIL import Image
from tiny_data import write_cub, write_folder

from dva_mm.datasets import BENCHMARKS, FineGrainedDataset, Published
from dva_mm.datasets.box_file import BoxEntry, make_header, relative_paths, write_box_file

# Serialising would cost a gc.collect() for each data set.
dataset_of = functools.partial(FineGrainedDataset, serialize_data=False)


@pytest.fixture(scope='module')
def cub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cub(tmp_path_factory.mktemp('cub'), num_classes=5, images_per_class=4)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(val_classes=1.0), 'val_classes.* 1.0'),
        (dict(val_classes=-0.1), 'val_classes.* -0.1'),
        (dict(val_classes=float('nan')), 'val_classes.* nan'),
        (dict(split='val'), "split='val'.*val_classes"),
        (dict(gallery='train', split='test'), "gallery='train'.*protocol='closed'.*'open'"),
        (dict(gallery='train', protocol='closed'), "split='test'.*'train'"),
    ],
)
def test_options_that_do_not_suit_are_refused_before_anything_is_read(
    tmp_path: Path, options: dict, message: str
):
    with pytest.raises(ValueError, match=message):
        dataset_of(str(tmp_path / 'nowhere'), **options)


def test_held_out_classes_leave_training_and_are_validation(tmp_path: Path):
    root = write_cub(tmp_path, num_classes=10, images_per_class=2)
    train, val, test = (
        dataset_of(str(root), split=split, val_classes=0.4) for split in ('train', 'val', 'test')
    )
    names = [[name[:3] for name in side.metainfo['classes']] for side in (train, val, test)]
    assert names == [['001', '002', '003'], ['004', '005'], ['006', '007', '008', '009', '010']]
    assert list(val.get_gt_labels()) == [0, 0, 1, 1]
    assert [side.test_mode for side in (train, val, test)] == [False, True, True]


def test_queries_come_first_and_are_counted(tmp_path: Path):
    root = archives.write_inshop(tmp_path, num_classes=4, images_per_class=3)
    test = dataset_of(str(root), reader='inshop', split='test')
    assert test.metainfo['num_queries'] == 4
    names = [Path(test.get_data_info(i)['img_path']).name[:4] for i in range(len(test))]
    assert names == ['01_1', '01_2', '01_1', '01_2', '01_3', '01_3']
    assert [test.get_data_info(i)['sample_idx'] for i in range(6)] == [0, 1, 2, 3, 4, 5]
    assert 'num_queries' not in dataset_of(str(root), reader='inshop').metainfo


def test_a_csv_file_is_a_data_root(tmp_path: Path):
    lines = ['path,label,split', 'a.jpg,owl,train', 'b.jpg,auk,train', 'c.jpg,yak,train']
    lines += [f'{split}{i}.jpg,{i},{split}' for i in (1, 2) for split in ('gallery', 'query')]
    (tmp_path / 'mine.csv').write_text('\n'.join(lines))
    test = dataset_of(str(tmp_path / 'mine.csv'), reader='csv', split='test')
    names = [Path(test.get_data_info(i)['img_path']).relative_to(tmp_path).stem for i in range(4)]
    assert names == ['query1', 'query2', 'gallery1', 'gallery2']
    assert test.metainfo['num_queries'] == 2 and test.metainfo['classes'] == ('1', '2')


def test_training_images_as_gallery(cub: Path):
    options = dict(data_root=str(cub), protocol='closed', split='test')
    alone = dataset_of(**options)
    dataset = dataset_of(**options, gallery='train')
    assert 'num_queries' not in alone.metainfo
    assert dataset.metainfo['num_queries'] == len(alone) == 10
    assert len(dataset) == 20
    paths = [dataset.get_data_info(i)['img_path'] for i in range(20)]
    assert paths[:10] == [alone.get_data_info(i)['img_path'] for i in range(10)]
    assert {path[-5] for path in paths[10:]} == {'0', '1'}
    assert dataset.metainfo['classes'] == alone.metainfo['classes']


def test_super_classes_go_with_the_classes_that_are_left(tmp_path: Path, cub: Path):
    root = archives.write_aircraft(tmp_path, num_classes=6)
    dataset = dataset_of(str(root), reader='aircraft', split='test')
    assert dataset.metainfo['classes'] == ('Model 4/A', 'Model 5/A', 'Model 6/A')
    assert dataset.metainfo['super_classes'] == ('Family 2', 'Family 3', 'Family 3')
    assert 'super_classes' not in dataset_of(str(cub)).metainfo


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the data set logs."""
    logged = []

    def record(message: str, logger: str, level: int) -> None:
        assert (logger, level) == ('current', logging.WARNING)
        logged.append(message)

    monkeypatch.setattr('dva_mm.datasets.fine_grained.print_log', record)
    return logged


def test_other_numbers_than_the_published_ones_give_one_warning(cub: Path, warnings: list[str]):
    dataset_of(str(cub), split='test', val_classes=0.1)
    (message,) = warnings
    assert str(cub) in message and 'CUB-200-2011' in message and '5 classes (published' in message
    assert '12 images on the open-set test side (published: 5,924)' in message


def test_right_numbers_and_other_data_give_no_warning(
    cub: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    numbers = Published('a test', (2, 3), open_images=(8, 12), closed_images=(10, 10))
    monkeypatch.setitem(BENCHMARKS, 'cub', BENCHMARKS['cub']._replace(published=numbers))
    # The check is of the archive, so holding classes out does not disturb it.
    root = write_cub(tmp_path / 'ten', num_classes=10, images_per_class=2)
    dataset_of(str(cub))
    dataset_of(str(cub), protocol='closed', split='val', val_classes=0.2)
    assert warnings == []
    dataset_of(str(root))
    assert len(warnings) == 1


def test_what_the_reader_left_out_is_a_warning(tmp_path: Path, warnings: list[str]):
    root = write_folder(tmp_path, dict(auk=2, owl=2, wren=2, yak=2))
    (root / 'auk' / 'clip.gif').touch()
    dataset_of(str(root), reader='folder')
    (message,) = warnings
    assert str(root) in message and 'clip.gif' in message


SIDES = 'a,0,train a,1,train b,0,test c,1,test'


@pytest.mark.parametrize(
    ('lines', 'options', 'repeated'),
    [
        ('a,0 b,1 c,2 c,2 d,3', dict(split='test'), 'c'),
        ('a,0 b,1 c,2 c,2 d,3', dict(split='train'), 'c'),
        ('a,0 b,1 d,2 a,3', dict(split='test'), 'a'),
        ('a,0 b,1 d,2 a,3', dict(split='train'), 'a'),
        ('a,0 b,0 b,0 c,1 d,1', dict(split='test', protocol='closed'), 'b'),
        ('a,0 b,1 c,2 c,3 d,4 e,5 f,6 g,7', dict(split='val', val_classes=0.3), 'c'),
        ('a,0 b,1 a,2 c,3 d,4 e,5 f,6 g,7', dict(split='val', val_classes=0.3), 'a'),
        (SIDES, dict(split='test', protocol='closed', gallery='train'), 'a'),
    ],
)
def test_an_image_that_would_find_itself_is_refused(
    tmp_path: Path, lines: str, options: dict, repeated: str
):
    header = 'path,label,split' if 'train' in lines else 'path,label'
    (tmp_path / 'images.csv').write_text('\n'.join([header, *lines.split()]))
    with pytest.raises(ValueError, match=f'{tmp_path}/{repeated}') as error:
        dataset_of(str(tmp_path), reader='csv', **options)
    assert str(error.value).count(f'{tmp_path}/') == 1  # no other image is named
    if 'gallery' in options:
        assert len(dataset_of(str(tmp_path), reader='csv', split='test', protocol='closed')) == 2


def test_repr_names_root_and_side_and_what_is_held_out_and_searched(cub: Path):
    options = dict(protocol='closed', val_classes=0.4)
    assert 'val_classes=0.4' in repr(dataset_of(str(cub), split='val', **options))
    text = repr(dataset_of(str(cub), protocol='closed', split='test', gallery='train'))
    assert str(cub) in text and 'test of the closed-set protocol, reader cub' in text
    assert "gallery='train'" in text and 'val_classes' not in text


def write_boxes(folder: Path, *entries: BoxEntry) -> Path:
    header = make_header('attention', {}, [entry.image for entry in entries])
    write_box_file(folder / 'boxes.jsonl', header, entries)
    return folder / 'boxes.jsonl'


def test_boxes_come_from_a_file_by_one_field(cub: Path, tmp_path: Path):
    data = dataset_of(str(cub))
    paths = [data.get_data_info(i)['img_path'] for i in range(len(data))]
    entries = [
        BoxEntry(image, 48, 40, float(i), 2.0, float(i) + 10.5, 30.0, 0.5, 'x')
        for i, image in enumerate(relative_paths(paths, cub))
    ]
    file = write_boxes(tmp_path, *entries)
    other = dataset_of(str(cub), boxes=str(file))
    for i, path in enumerate(paths):
        info = other.get_data_info(i)
        assert info['img_path'] == path and info['box'].dtype == np.float32
        assert info['box'].tolist() == [i, 2.0, i + 10.5, 30.0]
        assert info['box'].tolist() != data.get_data_info(i)['box'].tolist()


def test_an_image_listed_for_each_of_its_objects_has_each_ones_box(tmp_path: Path):
    lines = ['path,label,split,x1,y1,x2,y2', 'a.png,owl,train,0,0,9,9', 'a.png,auk,train,9,9,30,30']
    (tmp_path / 'images.csv').write_text('\n'.join(lines))
    data = dataset_of(str(tmp_path), reader='csv', protocol='closed')
    infos = [data.get_data_info(i) for i in range(2)]
    assert [info['box'].tolist() for info in infos] == [[0, 0, 9, 9], [9, 9, 30, 30]]
    assert [info['gt_label'] for info in infos] == [1, 0]
    # A file of boxes has one an image.
    Image.new('RGB', (48, 40)).save(tmp_path / 'a.png')
    file = write_boxes(tmp_path, BoxEntry('a.png', 48, 40, 1.0, 2.0, 3.0, 4.0, 0.5, 'x'))
    data = dataset_of(str(tmp_path), reader='csv', protocol='closed', boxes=str(file))
    assert [data.get_data_info(i)['box'].tolist() for i in range(2)] == [[1, 2, 3, 4]] * 2


def test_a_file_of_boxes_must_be_there_and_cover_the_images(cub: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='gone.jsonl'):
        dataset_of(str(cub), boxes=str(tmp_path / 'gone.jsonl'))
    file = write_boxes(tmp_path, BoxEntry('other.png', 48, 40, 0.0, 0.0, 9.0, 9.0, 0.5, 'x'))
    with pytest.raises(ValueError, match=r'lacks 8 of the 8 asked for'):
        dataset_of(str(cub), boxes=str(file))
