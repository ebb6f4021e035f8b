"""Options of all data sets, unknown options, and checks of the data sets before anything slow."""

from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config
from tiny_data import write_cub

from dva_mm.config import load_config
from dva_mm.engine.data import LOADERS, check_datasets, data_sets, merge_options


@pytest.fixture
def ten(tmp_path: Path) -> str:
    return str(write_cub(tmp_path / 'ten', num_classes=10, images_per_class=2))


def wrapped(data: dict, wrapper: str) -> dict:
    inner = dict(datasets=[data]) if wrapper == 'ConcatDataset' else dict(dataset=data)
    return dict(type=wrapper, **inner, **(dict(times=2) if wrapper == 'RepeatDataset' else {}))


def test_of_two_settings_the_nearer_holds():
    cfg = Config(
        dict(
            {f'{side}_dataloader': dict(dataset=dict(reader='a')) for side in ('train', 'val')},
            reader='b',
            protocol='closed',
            val_classes=0.1,
        )
    )
    options = {'val_classes': 0.2, 'val_dataloader.dataset.val_classes': 0.3}
    merge_options(cfg, options)
    train, val = data_sets(cfg)
    assert train == dict(reader='b', protocol='closed', val_classes=0.2)
    assert val == dict(reader='b', protocol='closed', val_classes=0.3)
    before = cfg.to_dict()
    merge_options(cfg, None)  # what a dump of the config is loaded to
    assert cfg.to_dict() == before


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'ClassBalancedDataset', 'ConcatDataset'])
def test_options_reach_the_data_sets_inside_of_wrappers(wrapper: str):
    data = wrapped(wrapped(dict(type='FineGrainedDataset'), 'RepeatDataset'), wrapper)
    cfg = Config(dict(train_dataloader=dict(dataset=data)))
    merge_options(cfg, dict(data_root='birds'))
    assert data_sets(cfg) == [dict(type='FineGrainedDataset', data_root='birds')]
    assert 'data_root' not in cfg.train_dataloader.dataset


def test_concatenated_data_sets_keep_images_of_their_own():
    parts = [dict(data_root='a'), dict(data_root='b')]
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=parts))))
    merge_options(cfg, {'protocol': 'closed', 'train_dataloader.dataset.datasets.1.reader': 'cub'})
    assert data_sets(cfg) == [
        dict(data_root='a', protocol='closed'),
        dict(data_root='b', protocol='closed', reader='cub'),
    ]
    with pytest.raises(ValueError, match=r'data_root=c .*datasets\.0\.data_root'):
        merge_options(cfg, dict(data_root='c'))


@pytest.mark.parametrize(
    ('option', 'meant'),
    [
        ('protocl', 'protocol'),
        ('train_cgf.max_epochs', 'train_cfg'),
        ('modle.head.beta', 'model'),
        ('experiment_nam', 'experiment_name'),
        ('find_unused_parameter', 'find_unused_parameters'),
        ('max_epochs', 'train_cfg.max_epochs'),
        ('beta', 'model.head.beta'),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(config_file: Path, option: str, meant: str):
    cfg = load_config(config_file)
    cfg.model.head.beta = 1
    with pytest.raises(ValueError, match=f'{option}.*{meant!r}'):
        merge_options(cfg, {option: 1})
    merge_options(cfg, {meant: cfg.get(meant, 1)})


def test_a_near_miss_in_a_config_file_is_told(config_file: Path):
    cfg = load_config(config_file)
    cfg.protocl, cfg.views = 'closed', 3
    with mock.patch('dva_mm.engine.data.print_log') as told:
        merge_options(cfg, None)
    assert [
        ('protocl' in call.args[0], 'protocol?' in call.args[0]) for call in told.mock_calls
    ] == [(True, True)]


def test_the_classes_are_counted(config_file: Path, ten: str):
    for classes in (None, 3):
        cfg = load_config(config_file)
        merge_options(cfg, {'model.head.num_classes': classes})
        check_datasets(cfg)
        assert cfg.model.head.num_classes == 3
    cfg.model.head.num_classes = 5
    with pytest.raises(ValueError, match='num_classes is 5.* 3 classes'):
        check_datasets(cfg)
    for share, number in ((0, 5), (0.34, 3)):  # without those that are held out
        cfg = load_config(config_file)
        merge_options(cfg, dict(data_root=ten, val_classes=share))
        check_datasets(cfg)
        assert cfg.model.head.num_classes == number


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'train_dataloader.dataset.val_classes': 0}, 'val_classes is 0.34 and 0'),
        ({'train_dataloader.dataset.protocol': 'closed'}, 'protocol is open and closed'),
        ({'train_dataloader.dataset.data_root': 'other'}, 'data_root is .*ten and .*other'),
    ],
)
def test_validation_on_classes_that_train_is_refused(
    config_file: Path,
    ten: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict,
    message: str,
):
    monkeypatch.chdir(tmp_path)
    write_cub(tmp_path / 'other', num_classes=10, images_per_class=2)
    cfg = load_config(config_file)
    changed = {'data_root': ten, 'val_classes': 0.34, 'val_dataloader.dataset.split': 'val'}
    merge_options(cfg, changed | options)
    with pytest.raises(ValueError, match=f'val_dataloader .*{message}.*val_classes=0.34'):
        check_datasets(cfg)


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'ConcatDataset'])
def test_held_out_classes_are_looked_for_inside_of_wrappers(
    config_file: Path, ten: str, monkeypatch: pytest.MonkeyPatch, wrapper: str
):
    monkeypatch.chdir(Path(ten).parent)
    cfg = load_config(config_file)
    cfg.train_dataloader.dataset = wrapped(cfg.train_dataloader.dataset, wrapper)
    merge_options(
        cfg, {'data_root': ten, 'val_classes': 0.34, 'val_dataloader.dataset.split': 'val'}
    )
    data_sets(cfg, LOADERS[0])[0].data_root = './ten/'  # the same folder by another name
    check_datasets(cfg)
    data_sets(cfg, LOADERS[0])[0].val_classes = 0.5
    cfg.model.head.num_classes = None
    with pytest.raises(ValueError, match='val_classes is 0.34 and 0.5'):
        check_datasets(cfg)
