"""What the command line makes of a config, and what it refuses before anything slow starts."""

import re
import shlex
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny_data import write_folder

from dva_mm.engine import launch
from dva_mm.models import FrozenViT

RUNS = count()
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


class Built(Exception):
    """Raised in place of building the Runner."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg


@pytest.fixture
def configured(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Config]:
    """The config that the Runner gets for a command line."""

    def stop(cfg: Config) -> None:
        raise Built(cfg)

    monkeypatch.setattr(launch.Runner, 'from_cfg', stop)
    monkeypatch.chdir(tmp_path)

    def run(
        *arguments: str, command: Callable = launch.train, config: Path = config_file
    ) -> Config:
        with pytest.raises(Built) as built:
            command([str(config), *arguments])
        return built.value.cfg

    return run


@pytest.mark.parametrize('command', [launch.train, launch.test])
def test_data_options_reach_every_data_set(configured: Callable, tmp_path: Path, command: Callable):
    root = write_folder(tmp_path / 'my images', dict(a=12, b=12, c=12, d=12))
    options = [f'data_root={root}', 'reader=folder', 'protocol=closed']
    cfg = configured('--cfg-options', *options, command=command)
    assert cfg.work_dir == 'work_dirs/tiny_closed'
    used = [cfg[name].dataset for name in LOADERS if cfg.get(name)]
    assert len(used) == (3 if command is launch.train else 1)
    for data in used:
        assert (data.data_root, data.reader, data.protocol) == (str(root), 'folder', 'closed')
    if command is launch.train:
        assert cfg.model.head.num_classes == 4
    else:
        assert cfg.model.head is None


@pytest.mark.parametrize(
    ('command', 'arguments', 'named'),
    [
        (launch.train, ['--cfg-options', 'data_root=gone'], 'gone (?s:.*)data_root=FOLDER'),
        (launch.test, ['--cfg-options', 'data_root=gone'], 'gone (?s:.*)data_root=FOLDER'),
        (launch.test, ['gone.pth'], 'gone.pth'),
        (launch.train, ['--resume', 'gone.pth'], 'gone.pth'),
        (launch.train, ['--work-dir', 'file/x'], '--work-dir .*file'),
        (launch.test, ['--out', 'file/x'], '--out .*file'),
        (launch.train, ['--auto-scale-lr', '--cfg-options', 'auto_scale_lr=None'], 'base_batch'),
        (launch.train, ['--launcher', 'slurm'], '--launcher slurm .*dist_train.sh'),
        (launch.train, ['--launcher', 'mpi'], '--launcher mpi .*dist_train.sh'),
        (launch.train, ['--cfg-options', 'precision=fp16'], 'fp16.*bf16'),
        (launch.train, ['--cfg-options', 'param_scheduler.begin=3'], 'epoch 3.*max_epochs is 3'),
        (launch.test, ['--cfg-options', 'precision=fp8'], 'fp8'),
    ],
)
def test_mistakes_are_refused_before_the_model_is_built(
    config_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable,
    arguments: list[str],
    named: str,
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(FrozenViT, '__init__', lambda self, **_: pytest.fail('builds the model'))
    Path('file').touch()
    with pytest.raises((FileNotFoundError, ValueError), match=named):
        command([str(config_file), *arguments])
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_more_processes_than_gpus_are_refused(config_file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(launch, 'init_dist', lambda *_, **__: pytest.fail('joins the others'))
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '3')
    with pytest.raises(ValueError, match='3 .*2.*backend=gloo'):
        launch.train([str(config_file), '--launcher', 'pytorch'])


@pytest.mark.parametrize(('rank', 'gpus', 'gpu'), [(2, 2, 0), (1, 1, 0), (1, 2, 1)])
def test_processes_share_gpus_through_gloo(
    configured: Callable, monkeypatch: pytest.MonkeyPatch, rank: int, gpus: int, gpu: int
):
    taken = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
    monkeypatch.setattr(torch.cuda, 'set_device', taken.append)
    monkeypatch.setattr(
        torch.distributed, 'init_process_group', lambda backend: taken.append(backend)
    )
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '3')
    monkeypatch.setenv('LOCAL_RANK', str(rank))
    options = [
        '--cfg-options',
        'env_cfg.dist_cfg.backend=gloo',
        'model_wrapper_cfg.bucket_cap_mb=5',
    ]
    cfg = configured('--launcher', 'pytorch', *options)
    assert taken == [gpu, 'gloo']
    assert cfg.model_wrapper_cfg.device_ids == [gpu]
    assert cfg.model_wrapper_cfg.bucket_cap_mb == 5


def test_amp_trains_and_evaluates_in_half_precision(
    configured: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = configured('--amp')
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'
    assert cfg.val_cfg.fp16 is True
    assert configured('--amp', command=launch.test).test_cfg.fp16 is True
    assert 'fp16' not in configured().val_cfg
    bf16 = configured('--amp', '--cfg-options', 'precision=bf16')  # which needs no scaled loss
    assert bf16.default_hooks.precision.type == 'PrecisionHook'
    assert 'fp16' not in bf16.val_cfg and bf16.optim_wrapper.get('type') != 'AmpOptimWrapper'


def test_amp_without_a_gpu_is_bf16(configured: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for command in (launch.train, launch.test):
        assert 'precision' in configured('--amp', command=command).default_hooks
        assert 'precision' not in configured(command=command).default_hooks


def test_compile_is_of_the_encoder_and_not_of_the_optimiser(configured: Callable):
    cfg = configured('--cfg-options', 'compile=True')
    assert 'compile' not in cfg and cfg.default_hooks.compile == dict(type='CompileHook')
    cfg = configured('--cfg-options', 'compile.backend=eager')
    assert cfg.default_hooks.compile == dict(type='CompileHook', backend='eager')


def test_work_dir_defaults_to_the_name_of_the_config(configured: Callable, config_file: Path):
    assert configured().work_dir == 'work_dirs/tiny'
    assert configured('--cfg-options', 'work_dir=mine').work_dir == 'mine'
    assert configured('--cfg-options', 'work_dir=mine', '--work-dir', 'yours').work_dir == 'yours'
    assert configured('--cfg-options', 'work_dir=a b').work_dir == 'a b'
    for name, expected in (('mine', 'mine_closed'), ('tiny_closed', 'tiny_closed')):
        child = Path(f'{name}.py')
        child.write_text(f"_base_ = {str(config_file)!r}\nprotocol = 'closed'\n")
        cfg = configured(config=child)
        assert cfg.work_dir == f'work_dirs/{expected}'
        assert {cfg[loader].dataset.protocol for loader in LOADERS} == {'closed'}


def test_options_and_testing_drop_parts_of_the_config(configured: Callable):
    cfg = configured('--no-validate')
    assert (cfg.val_cfg, cfg.val_dataloader, cfg.val_evaluator) == (None, None, None)
    assert cfg.test_dataloader and cfg.test_evaluator
    assert cfg.auto_scale_lr.enable is False
    assert configured('--auto-scale-lr').auto_scale_lr.enable is True
    cfg = configured(command=launch.test)
    for name in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'val_cfg'):
        assert cfg[name] is None


def test_loaders_get_defaults_that_fit_workers_and_gpu(
    configured: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    workers = '--cfg-options', 'train_dataloader.num_workers=2'
    train, val, _ = (configured(*workers)[name] for name in LOADERS)
    assert (train.persistent_workers, val.persistent_workers) == (True, False)
    assert train.collate_fn.type == 'default_collate' and train.pin_memory is True
    changed = [*workers, 'train_dataloader.collate_fn.type=pseudo_collate']
    train = configured('--no-persistent-workers', '--no-pin-memory', *changed).train_dataloader
    assert (train.persistent_workers, train.pin_memory) == (False, False)
    assert train.collate_fn.type == 'pseudo_collate'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert configured().train_dataloader.pin_memory is False


def test_resume_takes_a_file_or_the_work_directorys(configured: Callable, tmp_path: Path):
    file = str(tmp_path / 'epoch_1.pth')
    torch.save(dict(optimizer={}), file)
    for arguments, found in (([], None), ([file], file), (['--work-dir', str(tmp_path)], file)):
        cfg = configured('--resume', *arguments)
        assert (cfg.resume, cfg.load_from) == (found is not None, found)
    assert not configured('--work-dir', str(tmp_path)).resume


def test_testing_without_a_checkpoint_leaves_out_what_is_random_before_training(
    configured: Callable, tmp_path: Path
):
    options = [
        'model.neck.type=LinearNeck',
        'model.neck.out_channels=8',
        'model.backbone.tuning._delete_=True',
        'model.backbone.tuning.type=VPTDeep',
    ]
    cfg = configured('--cfg-options', *options, command=launch.test)
    assert cfg.model.neck is None and cfg.model.backbone.tuning is None
    file = tmp_path / 'epoch_1.pth'
    file.touch()
    cfg = configured(str(file), '--cfg-options', *options, command=launch.test)
    assert cfg.model.neck.out_channels == 8 and cfg.model.backbone.tuning.type == 'VPTDeep'


def test_a_run_without_workers_or_evaluation_at_a_scaled_learning_rate(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    launch.train(
        [
            str(config_file),
            *('--work-dir', str(tmp_path)),
            *('--no-validate', '--auto-scale-lr'),
            *('--cfg-options', f'experiment_name=launch{next(RUNS)}', 'train_cfg.max_epochs=1'),
            *('train_dataloader.num_workers=0', 'auto_scale_lr.base_batch_size=24'),
        ]
    )
    printed = capsys.readouterr().out
    checkpoint = re.search('^checkpoint: (.*)$', printed, re.M)[1]
    assert checkpoint == str(tmp_path / 'epoch_1.pth')
    text = Path(re.search('^log: (.*)$', printed, re.M)[1]).read_text()
    assert 'Epoch(train)' in text and 'Epoch(val)' not in text and 'frozen encoder' not in text
    for of_file in ('System environment:', 'train_dataloader = dict(', 'before_train_epoch:'):
        assert of_file in text and of_file not in printed
    assert 'Epoch(train)' in printed and 'trainable parameters: ' in printed
    groups = torch.load(checkpoint, weights_only=True)['optimizer']['param_groups']
    # Batch 6 of base batch 24: a quarter of 0.1; proxies ten times as much.
    assert sorted(group['initial_lr'] for group in groups) == pytest.approx([0.025, 0.25])


def test_the_next_commands_are_those_of_the_shell_for_any_name():
    images = [dict(img_path=f'my birds/{name}/1.jpg') for name in ("jay's", 'tit')]
    dataset = type('Images', (list,), dict(get_data_info=list.__getitem__))(images)
    text = launch.next_commands('dva_mm::dva_demo.py', 'work dirs/epoch_1.pth', dataset)
    index, search, show = (shlex.split(line) for line in text.splitlines()[1:])
    assert index[:5] == ['dva-mm', 'index', 'my birds', '--model', 'dva_mm::dva_demo.py']
    assert index[5:7] == ['--checkpoint', 'work dirs/epoch_1.pth']
    assert search[2:4] == [index[-1], "my birds/jay's/1.jpg"] and index[-1] == 'dva_demo.index'
    assert show[2:4] == ['dva_mm::dva_demo.py', 'work dirs/epoch_1.pth']
