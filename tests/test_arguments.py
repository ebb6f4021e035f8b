"""Values of --cfg-options are MMEngine's, but for the spaces and paths that MMEngine changes."""

import argparse

import pytest
from mmengine.config import DictAction

from dva_mm import arguments


def parse(*pairs: str, action: type = arguments.ConfigOptions) -> dict:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=action)
    return parser.parse_args(['--cfg-options', *pairs]).cfg_options


@pytest.mark.parametrize(
    'pair',
    [
        *('a=1', 'a=1e-3', 'a=None', 'a=true', 'a=x', 'a.b=1,2', 'a=[(1, 2), [x, y]]', 'a="x"'),
        *('a=b=c', 'model.backbone.pretrained=False', 'load_from=None'),
    ],
)
def test_values_are_parsed_as_mmengine_parses_them(pair: str):
    assert parse(pair) == parse(pair, action=DictAction)


@pytest.mark.parametrize('name', ['data_root', 'load_from', 'train_dataloader.dataset.boxes'])
@pytest.mark.parametrize('path', ['/my data/a', '/a, b/c', '2024', '[x]'])
def test_paths_are_taken_as_they_stand(name: str, path: str):
    assert parse(f'{name}={path}') == {name: path}


def test_texts_keep_their_spaces():
    assert parse("a='two words'", 'b=x y') == dict(a='two words', b='x y')


@pytest.mark.parametrize(
    ('arguments_', 'named'),
    [
        (['dva_mm::dva_demo.py', '--cfg-options', 'protocol'], 'protocol'),
        (['dva_mm::dva_dmo.py'], 'dva_mm::dva_demo.py'),
        (['gone.py'], 'gone.py'),
    ],
)
def test_a_mistake_is_named(arguments_: list[str], named: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as stopped:
        arguments.make_parser('train').parse_args(arguments_)
    assert stopped.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]
