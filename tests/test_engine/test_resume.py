"""A run goes on from the newest checkpoint that can be read, on the schedule of its config."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lab import equal
from mmengine.config import Config
from mmengine.runner import Runner
from safetensors.torch import load_file
from torch._subclasses import FakeTensorMode

from dva_mm.engine import ResumedScheduleHook, load_adapter, publish
from dva_mm.engine.resume import checkpoint_files, last_checkpoint, set_resume

MakeRunner = Callable[..., Runner]
EMA = "custom_hooks = [dict(type='EMAHook', momentum=0.3, strict_load={})]\n"
BY_ITERATION = """
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=4, val_interval=10)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2))
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', by_epoch=False)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
"""


def epoch(run: Runner | Path, number: int) -> Path:
    return Path(getattr(run, 'work_dir', run)) / f'epoch_{number}.pth'


def test_counts_of_steps_are_kept_on_the_cpu():
    """MMEngine loads a checkpoint to the GPU, of which a fake one stands here."""
    with FakeTensorMode():
        fused = dict(step=torch.tensor(3.0, device='cuda'), exp_avg=torch.ones(2, device='cuda'))
        state = {0: dict(fused), 1: dict(exp_avg=torch.ones(2, device='cuda')), 2: dict(step=3)}
        checkpoint = dict(optimizer=dict(state=state, param_groups=[]))
        ResumedScheduleHook().after_load_checkpoint(None, checkpoint)
        ResumedScheduleHook().after_load_checkpoint(None, {})  # of weights alone
    assert state[0]['step'].device.type == 'cpu'
    assert state[0]['exp_avg'].device.type == state[1]['exp_avg'].device.type == 'cuda'
    assert state[2] == dict(step=3)


def log(runner: Runner) -> str:
    return (Path(runner.log_dir) / f'{runner.timestamp}.log').read_text()


def chosen(work_dir: Path, choice: str | None = 'auto', **config) -> str | None:
    """What ``--resume`` chooses."""
    cfg = Config(dict(work_dir=str(work_dir), load_from=None, **config))
    set_resume(cfg, choice)
    assert cfg.resume == (cfg.load_from is not None)
    return cfg.load_from


def test_the_newest_readable_checkpoint_is_resumed(trained: Runner, tmp_path: Path):
    assert chosen(tmp_path / 'nowhere') is chosen(tmp_path) is None
    publish(str(epoch(trained, 3)), str(tmp_path / 'dva.pth'))
    assert chosen(tmp_path) is None
    for saved, number in ((2, 9), (3, 10)):
        shutil.copy(epoch(trained, saved), epoch(tmp_path, number))
    publish(str(epoch(trained, 3)), str(epoch(tmp_path, 11)))
    shutil.copy(epoch(trained, 3), tmp_path / 'best_retrieval_Recall@1_epoch_12.pth')
    assert chosen(tmp_path) == str(epoch(tmp_path, 10))
    assert chosen(tmp_path, choice=None, resume=True) == str(epoch(tmp_path, 10))
    assert chosen(tmp_path, choice=None, resume=False) is None
    assert chosen(tmp_path, choice=str(epoch(tmp_path, 9))) == str(epoch(tmp_path, 9))
    with pytest.raises(FileNotFoundError, match='epoch_5.pth'):
        chosen(tmp_path, choice=str(epoch(tmp_path, 5)))
    with pytest.raises(ValueError, match=r'epoch_11.pth(?s:.*)load_from='):
        chosen(tmp_path, choice=str(epoch(tmp_path, 11)))


DAMAGES = ['half', 'all but a byte', 'empty', 'garbage', 'list', 'tensor', 'history']


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_torn_checkpoint_is_skipped_and_none_but_torn_ones_are_refused(
    trained: Runner, tmp_path: Path, damage: str
):
    shutil.copy(epoch(trained, 2), tmp_path)
    content, torn = epoch(trained, 3).read_bytes(), epoch(tmp_path, 3)
    if damage in ('list', 'tensor', 'history'):  # the last: saved without our hook
        history = dict(optimizer={}, message_hub=trained.message_hub.state_dict())
        torch.save(dict(list=[1], tensor=torch.zeros(2), history=history)[damage], torn)
    else:
        size = {'half': len(content) // 2, 'all but a byte': len(content) - 1, 'empty': 0}
        torn.write_bytes(content[: size[damage]] if damage in size else b'garbage' * 100)
    assert chosen(tmp_path) == str(epoch(tmp_path, 2))
    epoch(tmp_path, 2).write_bytes(b'')
    with pytest.raises(ValueError, match='epoch_3.pth(?s:.*)epoch_2.pth(?s:.*)--work-dir'):
        chosen(tmp_path)


def test_a_run_without_checkpoints_keeps_the_weights_it_starts_from(
    make_runner: MakeRunner, trained: Runner, tmp_path: Path
):
    start = str(epoch(trained, 2))
    runner = make_runner(tmp_path, {'load_from': start}, resume='auto')
    runner.load_or_resume()
    assert runner.iter == 0
    proxies = torch.load(start)['state_dict']['head.proxies']
    assert torch.equal(runner.model.head.proxies, proxies)


@pytest.mark.parametrize(
    ('hook', 'folder', 'names'),
    [
        (dict(), 'run', ['epoch_9.pth', 'epoch_10.pth']),
        (dict(by_epoch=False), 'run', ['iter_9.pth', 'iter_10.pth']),
        (dict(filename_tmpl='e{:03d}+.pth'), 'run', ['e009+.pth', 'e010+.pth']),
        (dict(out_dir='{}/out', filename_tmpl='a/{}.pth'), 'out/run/a', ['9.pth', '10.pth']),
        (dict(out_dir='{}/run'), 'run', ['epoch_9.pth', 'epoch_10.pth']),
    ],
)
def test_checkpoints_are_found_where_their_hook_puts_them(
    tmp_path: Path, hook: dict, folder: str, names: list
):
    (tmp_path / folder).mkdir(parents=True)
    for name in [*names, 'other_11.pth', 'epoch_last.pth', 'xepoch_12.pth', 'epoch_12.pth.tmp']:
        torch.save(dict(optimizer={}), tmp_path / folder / name)
    hook = {k: v.format(tmp_path) if k == 'out_dir' else v for k, v in hook.items()}
    cfg = Config(dict(work_dir=f'{tmp_path}/run/', default_hooks=dict(checkpoint=hook)))
    assert [str(path.relative_to(tmp_path / folder)) for path in checkpoint_files(cfg)] == names[
        ::-1
    ]
    cfg.default_hooks.checkpoint = None
    assert checkpoint_files(cfg) == []
    cfg.default_hooks.checkpoint = dict(out_dir='s3://bucket')
    with pytest.raises(ValueError, match='s3://bucket'):
        checkpoint_files(cfg)


@pytest.mark.parametrize('child', ['', BY_ITERATION])
def test_runs_with_other_names_and_folders_are_found_again(
    make_runner: MakeRunner, tmp_path: Path, child: str
):
    name = 'i{:02d}.pth' if child else 'e{:02d}.pth'
    options = {'default_hooks.checkpoint.out_dir': str(tmp_path / 'elsewhere')}
    options['default_hooks.checkpoint.filename_tmpl'] = name
    if not child:
        options['train_cfg.max_epochs'] = 2
    runner = make_runner(tmp_path / 'run', options, child)
    runner.train()
    last = tmp_path / 'elsewhere' / 'run' / name.format(4 if child else 2)
    assert last_checkpoint(runner) == str(last)
    last.unlink()
    again = make_runner(tmp_path / 'run', options, child, resume='auto')
    again.train()
    assert again.cfg.load_from == str(last.with_name(name.format(2 if child else 1)))
    assert last.is_file()
    del options['default_hooks.checkpoint.filename_tmpl']  # the run's own note leads to the file
    assert chosen(tmp_path / 'run', default_hooks=again.cfg.default_hooks) == str(last)
    assert make_runner(tmp_path / 'run', options, child, resume='auto').cfg.load_from == str(last)


STOPPING = """
custom_hooks = [
    dict(type='EarlyStoppingHook', monitor='retrieval/Recall@1', rule='greater', patience=9)
]
"""
TEACHER = "model = dict(head=dict(dpt=dict(type='DPTLoss', momentum=0.6)))\n"


@pytest.mark.parametrize('child', [STOPPING, TEACHER])
def test_a_child_config_with_hooks_or_a_teacher_of_its_own_saves_and_resumes(
    make_runner: MakeRunner, tmp_path: Path, child: str
):
    whole = make_runner(tmp_path / 'whole', child=child)
    whole.train()
    (tmp_path / 'cut').mkdir()
    shutil.copy(epoch(whole, 2), tmp_path / 'cut')
    cut = make_runner(tmp_path / 'cut', child=child, resume='auto')
    cut.train()
    assert cut.cfg.load_from == str(epoch(cut, 2))
    left, right = (torch.load(epoch(run, 3), weights_only=True) for run in (whole, cut))
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert equal(left[part], right[part])
    averages = [name for name in left['state_dict'] if name.startswith('head.dpt.teacher.')]
    assert bool(averages) == (child == TEACHER)
    for with_head in (False, True):
        out = tmp_path / f'published_{with_head}.safetensors'
        names = load_file(publish(str(epoch(whole, 3)), str(out), with_head))
        assert ('head.proxies' in names) == with_head
        assert not any('teacher' in name for name in names)


@pytest.mark.parametrize('strict', [False, True])
def test_a_run_with_averaged_weights_resumes_bit_equal(
    make_runner: MakeRunner, tmp_path: Path, strict: bool
):
    child = EMA.format(strict)
    whole = make_runner(tmp_path / 'whole', child=child)
    whole.train()
    saved = torch.load(epoch(whole, 3), weights_only=True)
    trains = {name for name, p in whole.model.named_parameters() if p.requires_grad}
    assert saved['state_dict'].keys() == trains
    averaged = {name.removeprefix('module.') for name in saved['ema_state_dict']}
    assert averaged == trains | {'steps'}
    own = whole.model.state_dict()
    for name in trains:  # MMEngine's custom: the averaged weights are those of state_dict
        assert torch.equal(saved['ema_state_dict'][f'module.{name}'], own[name])
        assert not torch.equal(saved['state_dict'][name], own[name])
    (tmp_path / 'cut').mkdir()
    shutil.copy(epoch(whole, 2), tmp_path / 'cut')
    cut = make_runner(tmp_path / 'cut', child=child, resume='auto')
    cut.train()
    again = torch.load(epoch(cut, 3), weights_only=True)
    for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
        assert equal(saved[part], again[part])
    if strict:
        options = {'load_from': str(epoch(cut, 3)), 'train_cfg.max_epochs': 1}
        make_runner(tmp_path / 'from', options, child).train()
        without = make_runner(tmp_path / 'cut', {'train_cfg.max_epochs': 4}, resume='auto')
        without.train()
        assert 'EMAHook' in log(without)


def test_averaged_weights_are_tested_and_published(make_runner: MakeRunner, tmp_path: Path):
    runner = make_runner(tmp_path, {'train_cfg.max_epochs': 2}, EMA.format(False))
    runner.train()
    validated = runner.message_hub.get_scalar('val/retrieval/Recall@1').current()
    file = epoch(runner, 2)
    published = publish(str(file), str(tmp_path / 'dva.safetensors'))
    for child, weights in (('', file), ('', published), (EMA.format(True), file)):
        tester = make_runner(tmp_path / 'test', {'train_cfg.max_epochs': 2}, child)
        load_adapter(tester.model, str(weights))
        metrics = tester.test()
        assert metrics['retrieval/Recall@1'] == pytest.approx(validated)
        state = torch.load(file)['state_dict']
        own = tester.model.state_dict()
        names = [name for name in state if not name.startswith('head.')]
        assert all(torch.equal(state[name], own[name]) for name in names)


def rates(run: Runner | Path, number: int) -> list[float]:
    groups = torch.load(epoch(run, number))['optimizer']['param_groups']
    return [group['lr'] for group in groups]


def test_an_extended_run_follows_the_longer_cosine_and_says_so(resumed: Runner):
    for number, step in ((4, 12), (5, 14)):  # the last step of the schedule sets nothing
        share = 0.5 * (1 + math.cos(math.pi * step / 15))
        assert rates(resumed, number) == pytest.approx([0.1 * share, 1.0 * share])
    assert '9 of the 15' in log(resumed) and 'max_epochs' in log(resumed)
    saved = sorted(path.name for path in Path(resumed.work_dir).glob('*.pth'))
    assert saved == ['epoch_4.pth', 'epoch_5.pth']  # the old ones are deleted as ever


WARM_UP = """
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=4),
    dict(type='MultiStepLR', milestones=[1, 3], gamma=0.5),
    dict(type='PolyLR', eta_min=0.01),
]
"""


@pytest.mark.parametrize(('length', 'wanted'), [(2, 4), (4, 3)])
def test_a_changed_schedule_goes_on_as_in_a_run_from_the_start(
    make_runner: MakeRunner, tmp_path: Path, length: int, wanted: int
):
    options = {'train_cfg.val_interval': 9, 'default_hooks.checkpoint.max_keep_ckpts': 9}
    runs = {}
    for name, epochs in (('old', length), ('new', wanted), ('cut', wanted)):
        if name == 'cut':  # in the middle of the warm-up
            (tmp_path / 'cut').mkdir()
            shutil.copy(epoch(runs['old'], 1), tmp_path / 'cut')
        changed = {**options, 'train_cfg.max_epochs': epochs}
        runs[name] = make_runner(tmp_path / name, changed, WARM_UP, resume='auto')
        runs[name].train()
    assert rates(runs['cut'], 2) == pytest.approx(rates(runs['new'], 2), rel=1e-6)
    assert rates(runs['cut'], 2) != pytest.approx(rates(runs['old'], 2), rel=1e-2)
