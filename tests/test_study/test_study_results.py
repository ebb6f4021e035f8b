"""What is committed: tables and pages are those of the results."""

from pathlib import Path

import pytest

from dva_mm.study import fill, markdown, read_results
from dva_mm.study.docs import BLOCK
from dva_mm.study.tables import as_csv

ROOT = Path(__file__).resolve().parents[2]


def test_the_model_zoo_is_written_from_the_results():
    """If this fails: dva-mm study --docs docs/model_zoo.md"""
    text = (ROOT / 'docs' / 'model_zoo.md').read_text(encoding='utf-8')
    assert fill(text, ROOT / 'results') == text
    plots = [name for _, kind, name, _, _ in BLOCK.findall(text) if kind == 'plot']
    for name in plots:
        shown = ROOT / 'docs' / 'images' / f'{name}.svg'
        assert shown.read_bytes() == (ROOT / 'results' / f'{name}.svg').read_bytes(), name
    assert plots


def test_the_tables_are_written_from_the_results():
    """If this fails: dva-mm study STUDY.py --tables"""
    for file in (ROOT / 'results').glob('*.jsonl'):
        header, lines = read_results(file)
        assert file.with_suffix('.md').read_text(encoding='utf-8') == markdown(header, lines)
        assert file.with_suffix('.csv').read_text(encoding='utf-8') == as_csv(header, lines)


def test_no_result_names_a_place_on_a_machine():
    files = (ROOT / 'results').glob('*.jsonl')
    found = [f.name for f in files for mark in ('"/', '/home/') if mark in f.read_text()]
    assert found == []


@pytest.mark.parametrize('field', ['versions', 'commit', 'config_hash', 'data_hash'])
def test_each_run_says_what_it_was(field: str):
    for file in (ROOT / 'results').glob('*.jsonl'):
        assert all(field in line for line in read_results(file)[1]), file.name
