"""The command line: mistakes end at once, and help is quick."""

import subprocess
import sys
from pathlib import Path

import pytest

from dva_mm.detection.arguments import parse_arguments


def parse(*arguments: object):
    return parse_arguments(['config.py', '--detector', 'type=X', *map(str, arguments)])


def test_a_detector_is_its_type_and_options():
    detector = ['type=X', 'prompt=a bird.', 'least=0', 'share=1e-1', 'rollout=true', 'model=/a b=c']
    args = parse_arguments(['config.py', '--detector', *detector])
    assert args.detector == dict(
        type='X', prompt='a bird.', least=0, share=0.1, rollout=True, model='/a b=c'
    )
    assert args.shard == (0, 1)


@pytest.mark.parametrize(
    'arguments',
    [
        ['--batch-size', 0],
        ['--num-workers', -1],
        ['--sheet-count', 0],
        ['--sheet', 'x'],
        ['--sheet', 'x.jsonl'],
    ],
)
def test_values_out_of_range_are_refused(arguments: list):
    with pytest.raises(ValueError, match=f'{arguments[0]} .*{arguments[1]}'):
        parse(*arguments)


@pytest.mark.parametrize('name', ['--out', '--sheet'])
def test_targets_are_checked_and_not_made(tmp_path: Path, name: str):
    parse(name, tmp_path / 'made' / 'later' / 'x.PNG')
    assert not (tmp_path / 'made').exists()
    (tmp_path / 'made').write_text('a file')
    with pytest.raises(ValueError, match=f'{name} .*x.PNG'):
        parse(name, tmp_path / 'made' / 'later' / 'x.PNG')


def test_an_option_without_a_value_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse_arguments(['config.py', '--detector', 'PatchPCA'])
    assert 'PatchPCA' in capsys.readouterr().err


@pytest.mark.parametrize('shard', ['3', 'a/b', '2/2/3', '2/2', '0/0', '-1/2'])
def test_a_shard_of_another_form_is_refused(shard: str, capsys):
    with pytest.raises(SystemExit):
        parse(f'--shard={shard}')
    assert shard in capsys.readouterr().err
    assert parse('--shard', '3/4').shard == (3, 4)


def test_the_parser_needs_no_torch():
    """Beyond what the package itself imports: help shall be quick."""
    code = (
        'import sys, types\n'
        'package = types.ModuleType("dva_mm")\n'  # without its __init__
        f'package.__path__ = [{str(Path(__file__).parents[2] / "dva_mm")!r}]\n'
        'sys.modules["dva_mm"] = package\n'
        'import dva_mm.detection.run\n'
        'assert "torch" not in sys.modules and "mmpretrain" not in sys.modules\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
