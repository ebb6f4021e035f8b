"""The registered data set: selection, labels, and augmentation drawn from (seed, epoch, index)."""

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import DATASETS, TRANSFORMS
from tiny_data import picture, write_cub, write_folder
from torch.utils.data import DataLoader

from dva_mm.datasets import FineGrainedDataset


@TRANSFORMS.register_module()
class DrawFromEveryGenerator(BaseTransform):
    """A stand-in for augmentation: one number from each global generator."""

    def transform(self, results: dict) -> dict:
        return dict(
            index=results['sample_idx'],
            draws=[random.random(), np.random.rand(), torch.rand(()).item()],  # noqa: NPY002
        )


@TRANSFORMS.register_module()
class Break(BaseTransform):
    """A transform that fails after it has drawn."""

    def transform(self, results: dict) -> dict:
        random.random(), np.random.rand(), torch.rand(())  # noqa: NPY002
        raise RuntimeError('broken image')


@pytest.fixture(scope='module')
def cub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cub(tmp_path_factory.mktemp('cub'), num_classes=5, images_per_class=4)


def drawing(cub: Path, transform: str = 'DrawFromEveryGenerator') -> FineGrainedDataset:
    return FineGrainedDataset(str(cub), pipeline=[dict(type=transform)])


def test_the_test_side_is_labelled_from_zero(cub: Path):
    dataset = DATASETS.build(dict(type='FineGrainedDataset', data_root=str(cub), split='test'))
    assert dataset.metainfo['classes'] == ('003.Class_3', '004.Class_4', '005.Class_5')
    assert len(dataset) == 12
    for i in range(len(dataset)):
        info, label, index = dataset.get_data_info(i), 2 + i // 4, i % 4
        assert info['gt_label'] == label - 2
        assert info['img_path'] == f'{cub}/images/{label + 1:03d}.Class_{label + 1}/{index}.png'
        assert info['box'].dtype == np.float32
        np.testing.assert_array_equal(info['box'], picture(label, index)[1])


@pytest.mark.parametrize(
    ('protocol', 'split', 'classes', 'count'),
    [('open', 'train', 2, 8), ('closed', 'train', 5, 10), ('closed', 'test', 5, 10)],
)
def test_the_other_sides(cub: Path, protocol: str, split: str, classes: int, count: int):
    dataset = FineGrainedDataset(str(cub), protocol=protocol, split=split)
    assert len(dataset) == count
    assert len(dataset.metainfo['classes']) == classes
    assert set(dataset.get_gt_labels()) == set(range(classes))
    assert dataset.test_mode is (split == 'test')


def test_labels_and_class_names_skip_a_class_without_images_on_this_side(tmp_path: Path):
    root = write_folder(tmp_path, dict(auk=2, owl=1, wren=2))
    options = dict(data_root=str(root), reader='folder', protocol='closed')
    dataset = FineGrainedDataset(**options, split='test')
    assert dataset.metainfo['classes'] == ('auk', 'wren')
    assert [dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))] == [0, 1]
    assert dataset.get_data_info(0)['box'] is None
    assert list(FineGrainedDataset(**options).get_gt_labels()) == [0, 1, 2]  # one image trains


def test_a_data_set_of_one_class_is_refused(tmp_path: Path):
    root = write_folder(tmp_path, dict(auk=4))
    for protocol, split in (('closed', 'train'), ('closed', 'test'), ('open', 'test')):
        with pytest.raises(ValueError, match=rf'{split} side of the {protocol}.* 1 class.*two'):
            FineGrainedDataset(str(root), reader='folder', protocol=protocol, split=split)
    with pytest.raises(ValueError, match=r'train side of the open.* 0 class.* of 1 in all'):
        FineGrainedDataset(str(root), reader='folder')


@pytest.mark.parametrize('option', ['reader', 'protocol', 'split', 'gallery'])
def test_an_unknown_option_is_refused_before_anything_is_read(tmp_path: Path, option: str):
    with pytest.raises(ValueError, match=rf"{option} must be one of \[.*\], got 'other'"):
        FineGrainedDataset(str(tmp_path / 'nowhere'), **{option: 'other'})


def test_augmentation_is_the_same_for_any_number_of_workers_and_new_each_epoch(cub: Path):
    epochs = {}
    for workers in (0, 1, 2):
        dataset = drawing(cub)
        torch.manual_seed(workers)  # the main process's own randomness must not matter
        loader = DataLoader(
            dataset,
            batch_size=3,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=list,
        )
        for epoch in (0, 1, 0):
            dataset.set_epoch(epoch, seed=5)
            found = {item['index']: item['draws'] for batch in loader for item in batch}
            assert len(found) == len(dataset)
            assert epochs.setdefault(epoch, found) == found
    draws = [number for found in epochs.values() for item in found.values() for number in item]
    assert len(set(draws)) == 2 * 3 * len(drawing(cub))


def test_augmentation_changes_with_the_seed_and_survives_pickling_to_a_worker(cub: Path):
    dataset = drawing(cub)
    random.seed(7)
    assert dataset[0]['draws'][0] == random.Random(7).random()  # no epoch yet
    dataset.set_epoch(0, seed=1)
    first = dataset[0]['draws']
    assert pickle.loads(pickle.dumps(dataset))[0]['draws'] == first
    dataset.set_epoch(0, seed=2)
    assert dataset[0]['draws'] != first


@pytest.mark.parametrize('transform', ['DrawFromEveryGenerator', 'Break'])
def test_the_global_generators_are_left_as_they_were(
    cub: Path, transform: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, 'manual_seed_all', lambda seed: pytest.fail('reseeds the GPU'))
    dataset = drawing(cub, transform)
    dataset.set_epoch(0, seed=1)
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    if transform == 'Break':
        with pytest.raises(RuntimeError, match='broken image'):
            dataset[0]
    else:
        dataset[0]
    assert random.getstate() == before[0]
    after = np.random.get_state()  # noqa: NPY002
    assert after[0] == before[1][0] and after[2:] == before[1][2:]
    np.testing.assert_array_equal(after[1], before[1][1])
    assert torch.equal(torch.get_rng_state(), before[2])
