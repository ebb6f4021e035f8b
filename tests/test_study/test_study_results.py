"""What is committed: tables and pages are those of the results."""

import re
from pathlib import Path
from statistics import mean, stdev

import pytest

from dva_mm.study import fill, markdown, read_results
from dva_mm.study.docs import BLOCK
from dva_mm.study.results import rows_of
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


def recalls(study: str) -> dict[str, dict[int, float]]:
    """Row -> seed -> Recall@1."""
    header, lines = read_results(ROOT / 'results' / f'{study}.jsonl')
    runs = rows_of(header, lines)
    return {
        row: {run['seed']: run['metrics']['Recall@1'] for run in runs[row]}
        for row in runs
        if runs[row] and 'Recall@1' in runs[row][0]['metrics']
    }


def rounded(values: dict[int, float]) -> str:
    return f'{mean(values.values()):.1f} ± {stdev(values.values()):.1f}'


STUDIES_OF = {  # the README's lines by their beginnings
    'flowers, 51': ['full_size_flowers'],
    'half of Stanford Cars': ['full_size_cars'],
    'cars pasted small': ['full_size_planted'],
    'the same cars': ['adapting_cars', 'layers_cars'],
    'the same scenes': ['adapting_planted'],
    "the demo's": ['demo'],
}


def test_the_figures_of_the_readme_are_those_of_their_rows():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    table = text[text.index('| data; encoder |') :].split('\n\n')[0].splitlines()
    ways = [cell.strip() for cell in table[0].split('|')[3:-1]]
    assert len(table) == 2 + len(STUDIES_OF)
    for line, (begin, studies) in zip(table[2:], STUDIES_OF.items(), strict=True):
        cells = [cell.strip() for cell in line.split('|')[1:-1]]
        assert cells[0].startswith(begin)
        rows = [(study, row, seeds) for study in studies for row, seeds in recalls(study).items()]
        frozen = {f'{mean(seeds.values()):.1f}' for _, row, seeds in rows if row == 'frozen'}
        assert cells[1] in frozen
        for way, cell in zip(ways, cells[2:], strict=True):
            if cell == 'not run':
                continue
            figure = re.search(r'\d+\.\d ± \d+\.\d', cell)[0]
            assert figure in {
                rounded(seeds) for study, row, seeds in rows if is_of(way, study, row)
            }


def is_of(way: str, study: str, row: str) -> bool:
    """Whether a row is one of the ways that a column of the README shows."""
    plus = 'plus' in row or study.startswith('layers')
    name = way.removesuffix(' plus')
    names = ('ICA', 'DVA') if name.startswith('ICA') else (name,)
    return row.startswith(names) and plus == (way != name)


def test_means_and_deviations_in_the_changelog_are_those_of_a_row():
    files = (ROOT / 'results').glob('*.jsonl')
    rows = [seeds for file in files for seeds in recalls(file.stem).values() if len(seeds) > 1]
    text = (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')
    found = re.findall(r'\d+\.\d ± \d+\.\d', text)
    assert found and set(found) <= {rounded(seeds) for seeds in rows}


def test_the_differences_at_224_px_are_those_of_the_results():
    text = (ROOT / 'docs' / 'model_zoo.md').read_text(encoding='utf-8')
    table = text[text.index('| | full fine-tuning | LoRA |') :].split('\n\n')[0].splitlines()
    rivals = [cell.strip() for cell in table[0].split('|')[2:-1]]
    assert len(rivals) == 5 and len(table) == 8
    for line in table[2:]:
        label, *cells = (cell.strip() for cell in line.split('|')[1:-1])
        data, ours = re.fullmatch(r'(\w+), `(.*)`', label).groups()
        end = ', three views' if data == 'planted' else ''
        rows = recalls(f'full_size_{data}')
        for rival, cell in zip(rivals, cells, strict=True):
            way, _, where = rival.partition(',')
            theirs = rows.get(f'{way} plus' + (f',{where}' if where else '') + end)
            if theirs is None:
                assert cell == 'not run'
                continue
            differences = [value - theirs[seed] for seed, value in rows[ours].items()]
            spread = max(stdev(rows[ours].values()), stdev(theirs.values()))
            said = f'{mean(differences):+.1f}'
            assert cell == (f'**{said}**' if mean(differences) > spread else said), (label, rival)


def test_no_result_names_a_place_on_a_machine():
    files = (ROOT / 'results').glob('*.jsonl')
    found = [f.name for f in files for mark in ('"/', '/home/') if mark in f.read_text()]
    assert found == []


@pytest.mark.parametrize('field', ['versions', 'commit', 'config_hash', 'data_hash'])
def test_each_run_says_what_it_was(field: str):
    for file in (ROOT / 'results').glob('*.jsonl'):
        assert all(field in line for line in read_results(file)[1]), file.name
