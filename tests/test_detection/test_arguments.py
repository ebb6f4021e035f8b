"""The command line: mistakes end at once, and each source has its defaults."""

import os
from pathlib import Path

import pytest

from dva_mm.detection.arguments import detector_options, parse_arguments

DINO = ['--source', 'grounding-dino', '--prompt', 'a bird.']


def parse(*arguments: object):
    return parse_arguments(['config.py', *map(str, arguments)])


@pytest.mark.parametrize(
    ('arguments', 'batch_size'),
    [
        (DINO, 4),
        ([*DINO, '--batch-size', 7], 7),
        (['--source', 'attention'], 32),
        (['--source', 'patch-pca'], 32),
        (['--source', 'patch-pca', '--batch-size', 4], 4),
    ],
)
def test_the_batch_size_is_the_sources(arguments: list, batch_size: int):
    args = parse(*arguments)
    assert args.batch_size == batch_size
    assert args.shard == (0, 1)


def test_a_detectors_options_are_those_that_were_given():
    assert detector_options(parse(*DINO)) == dict(prompt='a bird.')
    args = parse(*DINO, '--model', 'x', '--box-threshold', 0, '--text-threshold', 0.5)
    assert detector_options(args) == dict(
        prompt='a bird.', model='x', box_threshold=0.0, text_threshold=0.5
    )


@pytest.mark.parametrize(
    ('source', 'option'),
    [
        (source, option)
        for option, sources in {
            '--prompt=a bird.': ['grounding-dino'],
            '--model=x': ['grounding-dino'],
            '--box-threshold=0': ['grounding-dino'],
            '--text-threshold=0.25': ['grounding-dino'],
            '--keep=0.5': ['attention', 'patch-pca'],
            '--img-size=64': ['attention', 'patch-pca'],
            '--block=0': ['attention'],
            '--rollout': ['attention'],
        }.items()
        for source in ('annotation', 'attention', 'grounding-dino', 'patch-pca')
        if source not in sources
    ],
)
def test_options_of_other_sources_are_refused(source: str, option: str):
    prompt = DINO[2:] if source == 'grounding-dino' else []
    name = option.split('=')[0]
    message = f'{name} is an option of --source .*; --source {source} does not know it'
    with pytest.raises(ValueError, match=message):
        parse('--source', source, *prompt, option)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--source', 'grounding-dino'], "needs a --prompt such as 'a bird.'"),
        (['--source', 'annotation', '--shard', '0/2'], '--source annotation needs no --shard'),
        (['--source', 'annotation', '--shard', '0/1'], '--source annotation needs no --shard'),
        ([*DINO, '--batch-size', 0], '--batch-size must be at least 1, got 0'),
        ([*DINO, '--num-workers', -1], '--num-workers must be at least 0, got -1'),
        (['--source', 'attention', '--img-size', 0], '--img-size must be at least 1, got 0'),
        ([*DINO, '--sheet', 'x.png', '--sheet-count', 0], '--sheet-count must be at least 1, got'),
        ([*DINO, '--sheet', 'x'], '--sheet must end in .png, .jpg, .jpeg, got x'),
        ([*DINO, '--sheet', 'x.jsonl'], '--sheet must end in .png, .jpg, .jpeg, got x.jsonl'),
    ],
)
def test_values_out_of_range_are_refused(arguments: list, message: str):
    with pytest.raises(ValueError, match=message):
        parse(*arguments)


@pytest.mark.parametrize('name', ['--out', '--sheet'])
def test_targets_are_checked_and_not_made(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / 'made' / 'later' / 'x.PNG'
    parse(*DINO, name, file)
    assert not (tmp_path / 'made').exists()
    (tmp_path / 'made').write_text('a file')
    with pytest.raises(ValueError, match=f'{name} .*x.PNG cannot be written: .*made is no folder'):
        parse(*DINO, name, file)
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(ValueError, match=f'{name} is a folder: .*folder.png'):
        parse(*DINO, name, tmp_path / 'folder.png')
    monkeypatch.setattr(os, 'access', lambda folder, mode: folder != tmp_path)
    with pytest.raises(ValueError, match=f'{name} .* cannot be written: no right to write'):
        parse(*DINO, name, tmp_path / 'new' / 'x.png')


@pytest.mark.parametrize(
    ('shard', 'message'),
    [
        ('3', 'expected I/N, such as 0/4'),
        ('a/b', 'expected I/N, such as 0/4'),
        ('2/2/3', 'expected I/N, such as 0/4'),
        ('2/2', 'expected I/N with 0 <= I < N, got 2/2'),
        ('0/0', 'expected I/N with 0 <= I < N, got 0/0'),
    ],
)
def test_a_shard_of_another_form_is_refused(shard: str, message: str, capsys):
    with pytest.raises(SystemExit):
        parse(*DINO, '--shard', shard)
    assert f'argument --shard: {message}' in capsys.readouterr().err
    assert parse(*DINO, '--shard', '3/4').shard == (3, 4)


def test_the_help_is_plain(capsys):
    with pytest.raises(SystemExit):
        parse('--help')
    said = ' '.join(capsys.readouterr().out.split())
    assert 'default: attention 0.7, rollout 0.5, patch-pca 0.95' in said
    assert 'default: 32, grounding-dino 4' in said
    assert '{annotation,' in said and "{'" not in said
