"""tools/soak_search.py for a moment, and what it makes of growth."""

import json

import pytest
from tool_module import load_tool


@pytest.fixture(scope='module')
def soak():
    return load_tool('soak_search')


def test_a_moment_of_it(soak, tmp_path, capsys):
    log = tmp_path / 'soak.log'
    soak.main(['--minutes', '0.02', '--every', '0.3', '--images', '12', '--log', str(log)])
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(rows) >= 2 and (rows[0]['rounds'], rows[0]['searches']) == (1, 7)
    assert rows[-1]['searches'] == 7 * rows[-1]['rounds'] and all(row['files'] > 2 for row in rows)
    printed = capsys.readouterr().out
    assert all(f'{name}: first' in printed for name in ('memory_mb', 'files', 'threads'))


def test_growth_is_its_slope_an_hour(soak):
    rows = [dict(minute=minute, memory_mb=100 + 2 * minute) for minute in range(60)]
    assert soak.trend(rows, 'memory_mb') == pytest.approx(120)
    assert soak.trend(rows[:1], 'memory_mb') == 0
