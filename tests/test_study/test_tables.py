"""Means, paired differences, intervals and the files made of results."""

import pytest

from dva_mm.study import compare, draw, fill, markdown, spread
from dva_mm.study.docs import fill_page
from dva_mm.study.results import append_result, put_header, read_results, rows_of
from dva_mm.study.tables import as_csv


def run(row: str, seed: int, recall: float, config: str = 'c', **more) -> dict:
    line = dict(kind='run', row=row, seed=seed, config_hash=config, data_hash='d', chosen={})
    return line | dict(metrics={'Recall@1': recall}, seconds=1.0, trainable=1200) | more


HEADER = dict(
    kind='header',
    study='birds',
    description='Birds.',
    rows=[dict(label=label, x=None, line=None, trials=[]) for label in ('frozen', 'full', 'DVA')],
    metrics=['Recall@1', 'trainable'],
    baseline='full',
    val_classes=0.0,
    plot={},
)
LINES = [
    run('frozen', 0, 50.0, seconds=None),
    run('DVA', 0, 1.0, config='older'),
    *(run('full', seed, value) for seed, value in enumerate((70.0, 72.0, 77.0))),
    *(run('DVA', seed, value) for seed, value in enumerate((72.0, 71.0, 80.0))),
]


def test_spread_and_paired_difference_are_the_textbook_s():
    found = spread([72.0, 71.0, 80.0])
    mean = (72 + 71 + 80) / 3
    sd = (sum((v - mean) ** 2 for v in (72, 71, 80)) / 2) ** 0.5
    assert found.mean == pytest.approx(mean) and found.sd == pytest.approx(sd) and found.n == 3
    assert spread([50.0]).sd is None
    rows = rows_of(HEADER, LINES)
    difference = compare(rows['DVA'], rows['full'], 'Recall@1')
    assert difference.mean == pytest.approx((2 - 1 + 3) / 3) and difference.n == 3
    frozen = compare(rows['full'], rows['frozen'], 'Recall@1')
    assert frozen.n == 3 and frozen.mean == pytest.approx(73 - 50)
    back = compare(rows['frozen'], rows['full'], 'Recall@1')
    assert back.n == 3 and back.mean == pytest.approx(50 - 73)
    assert back.seeds == pytest.approx((-frozen.seeds[1], -frozen.seeds[0]))
    assert compare(rows['full'][:1], rows['DVA'][1:], 'Recall@1') is None


def test_the_table_takes_each_row_s_newest_config_and_leaves_out_what_is_missing():
    table = markdown(HEADER, LINES)
    assert '| full | 3 | 73.00 ± 3.61 | 1,200 |' in table and '| full | +' not in table
    assert '| DVA | 3 | 74.33 ± 4.93 | 1,200 |' in table
    assert '| DVA | +1.33 | -1.00 to +3.00 | – |' in table
    assert '| frozen | 1 | 50.00 |' in table
    rows = as_csv(HEADER, LINES).splitlines()
    assert rows[3].startswith('DVA,3,,74.3333,4.93288,1200,0,1.33333,')
    later = [*LINES, run('DVA', 0, 90.0, config='newer')]
    assert '| DVA | 1 | 90.00 |' in markdown(HEADER, later)
    assert 'DVA' not in markdown(HEADER, LINES[:1]).split('|', 1)[1].split('\n', 2)[2]


def test_trials_are_those_of_the_grid_in_its_order():
    header = HEADER | dict(
        rows=[dict(label='DVA', x=None, line=None, trials=[{'lr': 1}, {'lr': 4}])]
    )
    trials = [run('DVA', 0, 60.0 + lr, kind='trial', chosen={'lr': lr}) for lr in (4, 3, 1)]
    table = markdown(header, [*trials, run('DVA', 0, 70.0, chosen={'lr': 1})])
    assert '| DVA | **lr 1** | **61.00** |\n| DVA | lr 4 | 64.00 |' in table and 'lr 3' not in table
    assert 'was taken' in table and 'was taken' not in markdown(header, trials)
    again = [run('DVA', 1, 90.0 + lr, kind='trial', chosen={'lr': lr}) for lr in (1, 4)]
    assert 'tried once' in table and '91.00' not in markdown(header, [*trials, *again])
    both = markdown(header | dict(trial_seeds=[0, 1]), [*trials, *again])
    assert '| DVA | lr 1 | 61.00, 91.00 |' in both and 'tried with 2 seeds' in both
    one_short = markdown(header | dict(trial_seeds=[0, 1]), [*trials, again[0]])
    assert 'lr 1' in one_short and 'lr 4' not in one_short


def test_a_plot_is_the_same_each_time_and_shows_points_or_bars():
    bars = draw(HEADER, LINES)
    assert bars == draw(HEADER, LINES) and bars.startswith(b'<?xml')
    points = HEADER | dict(rows=[{**row, 'x': i or None} for i, row in enumerate(HEADER['rows'])])
    assert draw(points, LINES) != bars
    assert draw(HEADER, LINES, 'png').startswith(b'\x89PNG')
    assert draw(HEADER, []) is None


def test_results_survive_a_cut_line_and_keep_the_newest_header(tmp_path):
    file = tmp_path / 'birds.jsonl'
    put_header(file, HEADER)
    put_header(file, HEADER)
    append_result(file, LINES[0])
    with file.open('a') as text:
        text.write('{"kind": "ru')
    assert read_results(file) == (HEADER, LINES[:1])
    append_result(file, LINES[1])
    put_header(file, HEADER | dict(baseline=None))
    header, lines = read_results(file)
    assert header['baseline'] is None and lines == LINES[:2]
    file.write_text('no json\n')
    with pytest.raises(ValueError, match='line 1'):
        read_results(file)


def test_a_page_is_filled_between_its_marks_alone(tmp_path):
    put_header(tmp_path / 'birds.jsonl', HEADER)
    append_result(tmp_path / 'birds.jsonl', LINES[0])
    page = 'Before.\n\n<!-- study: birds -->\nold\n<!-- end -->\n\nAfter.\n'
    filled = fill(page, tmp_path)
    assert filled.startswith('Before.\n') and filled.endswith('\nAfter.\n')
    assert '| frozen | 1 | 50.00 |' in filled and 'old' not in filled
    assert fill(filled, tmp_path) == filled
    with pytest.raises(FileNotFoundError, match='cats'):
        fill(page.replace('birds', 'cats'), tmp_path)
    with pytest.raises(ValueError, match='end'):
        fill(page.replace('<!-- end -->', ''), tmp_path)


def test_a_plot_lies_beside_its_page(tmp_path):
    put_header(tmp_path / 'birds.jsonl', HEADER)
    (tmp_path / 'birds.svg').write_bytes(b'<svg/>')
    page = tmp_path / 'docs' / 'page.md'
    page.parent.mkdir()
    page.write_text('<!-- plot: birds -->\n<!-- end -->\n')
    assert fill_page(page, tmp_path) and not fill_page(page, tmp_path)
    assert '![Plot of birds](images/birds.svg)' in page.read_text()
    assert (page.parent / 'images' / 'birds.svg').read_bytes() == b'<svg/>'
    (tmp_path / 'birds.svg').write_bytes(b'<svg> </svg>')
    assert fill_page(page, tmp_path)  # another plot, the same page
    assert (page.parent / 'images' / 'birds.svg').read_bytes() == b'<svg> </svg>'


def test_a_missing_plot_leaves_the_page_alone(tmp_path):
    put_header(tmp_path / 'birds.jsonl', HEADER)
    page = tmp_path / 'page.md'
    page.write_text('<!-- plot: birds -->\n<!-- end -->\n')
    with pytest.raises(FileNotFoundError, match='birds.svg.*--tables'):
        fill_page(page, tmp_path)
    assert page.read_text() == '<!-- plot: birds -->\n<!-- end -->\n'
