"""Study files: read, and refused before anything runs."""

from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

from dva_mm.study import load_study
from dva_mm.study.check import check_options
from dva_mm.study.command import main
from dva_mm.study.identity import config_hash, portable
from dva_mm.study.matrix import final_runs, run_config, trial_runs
from dva_mm.study.run import Place
from dva_mm.study.schedule import choose

STUDIES = Path(__file__).resolve().parents[2] / 'configs' / 'studies'
CONFIG = 'dva_mm::ica_deit_tiny_folder.py'
GOOD = f"""
rows = {{
    'frozen': dict(config={CONFIG!r}, frozen=True),
    'ICA': dict(config={CONFIG!r}, options={{'model.head.temperature': 0.2}}),
    'LoRA': dict(
        config={CONFIG!r},
        options={{'model.backbone.tuning': dict(_delete_=True, type='LoRA', rank=2)}},
        grid={{'model.backbone.tuning.rank': [1, 2]}},
    ),
}}
seeds = [3, 5]
search = dict(val_classes=0.5, grid={{'optim_wrapper.optimizer.lr': [0.1, 0.2]}})
baseline = 'frozen'
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(old: str = '', new: str = '') -> Path:
        assert old in GOOD
        path = tmp_path / 'mine.py'
        path.write_text(GOOD.replace(old, new, 1))
        return path

    return write


def test_rows_options_seeds_and_trials_make_the_runs(write):
    study = load_study(write(), {'data_root': 'birds'})
    frozen, ica, lora = study.rows
    assert study.name == 'mine' and [len(final_runs(study, row)) for row in study.rows] == [1, 2, 2]
    assert [len(trial_runs(study, row)) for row in study.rows] == [0, 2, 2]
    run = final_runs(study, ica)[1]
    assert run.cfg.randomness.seed == 5 and run.cfg.model.head.temperature == 0.2
    assert run.cfg.val_dataloader.dataset.data_root == 'birds'
    assert 'val_classes' not in run.cfg.train_dataloader.dataset
    other = replace(study, seeds=(7,))
    assert [final_runs(other, r)[0].seed for r in study.rows] == [3, 7, 7]
    trial = trial_runs(other, lora)[0]
    assert trial.seed == 3
    assert trial.cfg.model.backbone.tuning == dict(type='LoRA', rank=1)
    sides = [trial.cfg[f'{name}_dataloader'].dataset for name in ('train', 'val')]
    assert [(side.split, side.val_classes) for side in sides] == [('train', 0.5), ('val', 0.5)]


def test_each_setting_is_tried_with_each_seed_of_the_search(write):
    study = load_study(write('val_classes=0.5,', 'val_classes=0.5, seeds=[4, 6],'))
    trials = trial_runs(study, study.rows[1])
    assert [(run.trial, run.seed) for run in trials] == [(0, 4), (1, 4), (0, 6), (1, 6)]
    assert [run.cfg.randomness.seed for run in trials] == [4, 4, 6, 6]
    assert [run.seed for run in final_runs(study, study.rows[1])] == [3, 5]
    places = {Place.of(Path(), run, run.identity('d' * 12)).folder for run in trials}
    assert len(places) == len({run.name for run in trials}) == 4
    # Of the single figures trial 0 has the highest, of the means trial 1.
    recalls = {(0, 4): 62.0, (1, 4): 60.0, (0, 6): 50.0, (1, 6): 61.0}

    def find(run):
        return dict(metrics={'Recall@1': recalls[run.trial, run.seed]})

    assert choose(trials, find) == {'optim_wrapper.optimizer.lr': 0.2}
    assert choose(trials, lambda run: find(run) if run.seed == 4 else None) is None
    recalls |= {(0, 4): 92.0192, (0, 6): 93.5577, (1, 4): 91.9231, (1, 6): 93.6538}  # 185.5769 both
    assert choose(trials, find) == {'optim_wrapper.optimizer.lr': 0.1}


def test_options_may_change_a_type_and_arguments_of_the_new_class(write):
    tuning = 'model.backbone.tuning'
    options = f"'{tuning}.num_tokens': 4, '{tuning}.type': 'PromptedICA'"
    study = load_study(write("'model.head.temperature': 0.2", options))
    assert run_config(study.rows[1], 3).model.backbone.tuning == dict(
        type='PromptedICA', rank=16, act='GELU', scale=1.0, num_tokens=4
    )


@pytest.mark.parametrize(
    'options',
    [
        "'train_dataloader.collate_fn.type': 'pseudo_collate'",
        "'model.backbone.tuning': dict(_delete_=True, type='LoRA'), "
        "'model.backbone.tuning.alpha': 3",
        "'model.head': dict(_delete_=True, type='MetricLearningHead', num_classes=None, "
        "loss=dict(type='SupConLoss')), 'model.head.loss.type': 'ContrastiveLoss'",
    ],
)
def test_options_may_name_what_other_libraries_have(write, options: str):
    load_study(write("'model.head.temperature': 0.2", options))


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ("'model.backbone.tuning.type': 'LoRA'", r"no \['act', 'scale'\].* for ICA.*_delete_"),
        ("'model.head.dpt.type': 'DPTLos'", 'DPTLos'),
    ],
)
def test_a_new_type_that_cannot_be_is_refused(write, options: str, said: str):
    with pytest.raises(ValueError, match=said):
        load_study(write("'model.head.temperature': 0.2", options))


def test_a_type_of_none_is_refused_with_its_place():
    cfg = Config(dict(model=dict(neck=None)))
    with pytest.raises(ValueError, match=r"^row 'a': .*neck"):
        check_options(cfg, {'model.neck.type': 'LinearNeck'}, "row 'a'")


def test_a_grid_may_list_its_trials(write):
    trials = "[{'model.head.beta': [0.0]}, {'model.head.temperature': 0.1}]"
    study = load_study(write("{'optim_wrapper.optimizer.lr': [0.1, 0.2]}", trials))
    assert study.rows[1].trials == ({'model.head.beta': 0.0}, {'model.head.temperature': 0.1})


def test_the_hash_of_a_config_ignores_seed_and_folders_alone(write):
    study = load_study(write())
    row = study.rows[1]
    cache = {'train_dataloader.dataset.cache': dict(folder='here', scale=(8, 8))}
    moved = {'train_dataloader.dataset.cache': dict(folder='/there', scale=(8, 8))}
    elsewhere = {'data_root': '/elsewhere', 'train_dataloader.num_workers': 7, **moved}
    first = config_hash(run_config(row, 3, cache))
    assert config_hash(run_config(row, 4, elsewhere)) == first != config_hash(run_config(row, 3))
    other = run_config(row, 3, {**cache, 'train_dataloader.batch_size': 7})
    assert first != config_hash(other)
    assert portable(moved) == {name: dict(folder='there', scale=[8, 8]) for name in moved}


@pytest.mark.parametrize(
    ('old', 'new', 'said'),
    [
        ('seeds =', 'seed =', 'seed'),
        ('frozen=True', 'frosen=True', 'frosen'),
        (CONFIG, 'dva_mm::gone.py', 'gone'),
        ("'ICA'", "'frozen'", 'frozen'),
        ("'ICA'", "'LoRA '", 'LoRA'),
        ('head.temperature', 'head.temprature', 'temprature'),
        ("'model.head", "'modl.head", 'modl'),
        ('rank=2', 'rnk=2', 'rnk'),
        ("type='LoRA'", "type='LoRRA'", 'LoRRA'),
        ("'model.head.temperature': 0.2", "'model.backbone.tuning.type': 'LoRRA'", 'LoRRA'),
        ("'model.head.temperature': 0.2", "'model.backbone.tunning.type': 'LoRA'", 'tunning'),
        ("'model.head.temperature': 0.2", "'model.backbone.tuning.num_tokens': 4", 'num_tokens'),
        ('[1, 2]', '[1, 2, 3]', '3'),
        ("baseline = 'frozen'", "baseline = 'DVA'", 'DVA'),
        ('[3, 5]', '[3, 3]', '3'),
        ('seeds = [3, 5]', 'seeds = 3', 'list of whole numbers'),
        ('val_classes=0.5,', 'val_classes=0.5, seeds=[4, 4],', 'search seeds must differ'),
        ('val_classes=0.5,', 'val_classes=0.5, seeds=[-4],', 'search seeds must be a list'),
        ('baseline =', "metrics = ['recal']\nbaseline =", 'recal'),
    ],
)
def test_a_mistake_is_refused_with_its_name(write, old: str, new: str, said: str):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        load_study(write(old, new))


def test_a_dry_run_lists_runs_without_data_and_writes_nothing(write, tmp_path: Path, capsys):
    out = tmp_path / 'results'
    assert main([str(write()), '--dry-run', '--out', str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9 and all(line.startswith('to do') for line in lines)
    assert not out.exists()


OF_THE_DEMO = {'adapters', 'beta', 'boxes', 'choices'}


@pytest.mark.parametrize('data', ['flowers', 'planted', 'demo'])
@pytest.mark.parametrize('file', sorted(STUDIES.glob('*.py')), ids=lambda path: path.stem)
def test_every_shipped_study_builds_the_configs_of_all_its_rows(file, data, monkeypatch):
    text = file.read_text()
    if data != 'flowers' and '$DATA' not in text:
        pytest.skip('one set of data')
    if data == 'demo' and file.stem not in OF_THE_DEMO:
        pytest.skip('not for the demo')
    monkeypatch.setenv('DATA', data)
    study = load_study(file)
    assert len(study.rows) > 1 and study.description
    hashes = [config_hash(run_config(row, 0)) for row in study.rows if not row.frozen]
    assert len(set(hashes)) == len(hashes) or file.stem == 'clutter'  # whose data differ


@pytest.mark.parametrize('data', ['flowers', 'cars', 'planted'])
def test_the_study_at_full_size_shows_every_encoder_images_of_224_pixels(data, monkeypatch):
    monkeypatch.setenv('DATA', data)
    monkeypatch.setenv('PLANTED', 'data/planted_050/')
    study = load_study(STUDIES / 'full_size.py')
    assert study.name == f'full_size_{"planted_050" if data == "planted" else data}'
    assert study.seeds == (0, 1, 2, 3, 4) and study.trial_seeds == (0, 1)
    assert [len(row.trials) for row in study.rows] == [0] + [4] * 24
    assert study.baseline in {row.label for row in study.rows}
    assert ('three views' in study.baseline) == (data == 'planted')
    for row in study.rows:
        cfg = run_config(row, 0)
        train, val, test = (cfg[f'{n}_dataloader'].dataset for n in ('train', 'val', 'test'))
        assert cfg.model.backbone.img_size == 224 and cfg.train_cfg.max_epochs == 10
        assert cfg.precision == 'bf16' and cfg.train_dataloader.num_workers == 8
        assert [step.get('crop_size') for step in val.pipeline] == [None, None, 224, None]
        assert val.pipeline == test.pipeline and val.pipeline[1].scale == (256, 256)
        opa = [step for step in train.pipeline if step.type == 'OPA']
        assert bool(opa) == ('three views' in row.label)
        ends = [opa[0].original[-1], opa[0].discriminative[-1]] if opa else [train.pipeline[2]]
        assert [step['size'] for step in ends] == [224] * len(ends)
        first = opa[0].resize[0] if opa else train.pipeline[1]
        assert first.scale == (256, 256)
        assert ('boxes' in train) == bool(opa and data == 'planted')


def test_prompts_are_not_tested_halfway_to_them(monkeypatch):
    monkeypatch.setenv('DATA', 'flowers')
    for row in load_study(STUDIES / 'kept.py').rows:
        prompted = 'VPT' in row.label
        assert len(row.tests) == (3 if prompted else 6)
        assert any('halfway' in name for name in row.tests) != prompted


@pytest.mark.parametrize(('data', 'rate'), [('flowers', 2e-4), ('cars', 4e-4)])
def test_on_cars_full_fine_tuning_has_the_warm_up_that_was_tried_there(monkeypatch, data, rate):
    monkeypatch.setenv('DATA', data)
    study = load_study(STUDIES / 'kept.py')
    (row,) = (row for row in study.rows if row.label == 'full fine-tuning plus')
    cfg = run_config(row, 0)
    assert cfg.optim_wrapper.optimizer.lr == rate
    assert isinstance(cfg.param_scheduler, list) == (data == 'cars')  # of a warm-up and a cosine
    assert (row.label in study.description.split('warm-up:')[1]) == (data == 'cars')
