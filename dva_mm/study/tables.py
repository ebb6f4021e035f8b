"""Tables of a study, from the lines of its results alone: Markdown and CSV."""

import csv
import io
import textwrap
from collections.abc import Sequence

from .results import find_result, rows_of
from .statistics import Difference, compare, spread

TITLES = {
    'trainable': 'trained',
    'embedding': 'embedding',
    'seconds': 'training, s',
    'step_seconds': 'step, s',
    'memory_mb': 'memory, MB',
    'cuda_mb': 'GPU memory, MB',
}


def figure(run: dict, name: str) -> float | None:
    """A run's figure: a metric, or a field of its line."""
    return run['metrics'].get(name, run.get(name))


def collect(header: dict, lines: Sequence[dict]) -> list[dict]:
    """A table's rows: ``label``, ``n``, ``x``, ``line``, ``cells`` (Spread by name), difference.

    Rows without runs are left out.
    """
    of_row = rows_of(header, lines)
    first, baseline = header['metrics'][0], header.get('baseline')
    table = []
    for row in header['rows']:
        runs = of_row[row['label']]
        if not runs:
            continue
        cells = {}
        for name in header['metrics']:
            values = [v for v in (figure(run, name) for run in runs) if v is not None]
            if values:
                cells[name] = spread(values)
        other = baseline is not None and row['label'] != baseline and of_row.get(baseline)
        difference = compare(runs, other, first) if other else None
        table.append({**row, 'n': len(runs), 'cells': cells, 'difference': difference})
    return table


def markdown(header: dict, lines: Sequence[dict]) -> str:
    """The tables of a study: its figures, their differences, what held-out classes chose."""
    rows = collect(header, lines)
    names, baseline = header['metrics'], header.get('baseline')
    titles = ['', 'n', *(TITLES.get(name, name) for name in names)]
    body = [[row['label'], str(row['n']), *_cells(row, names)] for row in rows]
    text = [_paragraph(header), _grid(titles, body) if rows else 'No run is done yet.']
    if compared := [_compared(row) for row in rows if row['difference']]:
        titles = ['', f'{names[0]}, minus {baseline}', '95 % over seeds', '… and classes']
        text.append(_grid(titles, compared))
    if choices := _choices(header, lines):
        share = f'{header["val_classes"]:.0%}'.replace('%', ' %')
        seeds = len(header.get('trial_seeds', [0]))
        times = 'once' if seeds == 1 else f'with {seeds} seeds'
        held = f'the last {share} of the training classes, held out'
        told = f'Each setting was tried {times} on {held}'
        taken = any(options.startswith('**') for _, options, _ in choices)
        text.append(f'{told};\nthe best is in bold and was taken.' if taken else f'{told}.')
        text.append(_grid(['', 'tried', 'Recall@1, held-out classes'], choices))
    return '\n\n'.join(part for part in text if part) + '\n'


def _paragraph(header: dict) -> str:
    return textwrap.fill(' '.join(header['description'].split()), 100, break_on_hyphens=False)


def _cells(row: dict, names: Sequence[str]) -> list[str]:
    cells = []
    for name in names:
        value = row['cells'].get(name)
        if value is None:
            cells.append('–')
        elif name in TITLES:  # the same in each run, or a time
            cells.append(f'{value.mean:,.3f}' if name == 'step_seconds' else f'{value.mean:,.0f}')
        else:
            cells.append(str(value))
    return cells


def _compared(row: dict) -> list[str]:
    difference = row['difference']
    ends = [
        '–' if ends is None else f'{ends[0]:+.2f} to {ends[1]:+.2f}'
        for ends in (difference.seeds, difference.classes)
    ]
    return [row['label'], f'{difference.mean:+.2f}', *ends]


def _choices(header: dict, lines: Sequence[dict]) -> list[list[str]]:
    body = []
    runs = rows_of(header, lines)
    for row in header['rows']:
        label, taken = row['label'], [run['chosen'] for run in runs[row['label']]][:1]
        trials = [line for line in lines if line['kind'] == 'trial' and line['row'] == label]
        seeds = header.get('trial_seeds', sorted({line['seed'] for line in trials})[:1])
        for chosen in row['trials']:
            found = [find_result(trials, dict(chosen=chosen, seed=seed)) for seed in seeds]
            recalls = [line['metrics']['Recall@1'] for line in found if line]
            if not recalls or len(recalls) < len(found):
                continue
            options = ', '.join(f'{k.split(".")[-1]} {v}' for k, v in chosen.items())
            value = ', '.join(f'{recall:.2f}' for recall in recalls)
            bold = '**' if chosen in taken else ''
            body.append([label, f'{bold}{options}{bold}', f'{bold}{value}{bold}'])
    return body


def _grid(titles: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rows = [titles, ['---'] * len(titles), *body]
    return '\n'.join('| ' + ' | '.join(c.replace('|', r'\|') for c in row) + ' |' for row in rows)


def as_csv(header: dict, lines: Sequence[dict]) -> str:
    """The same table for programs: mean and sd of each figure, the difference and its intervals."""
    names = header['metrics']
    columns = ['row', 'n', 'x']
    columns += [f'{name} {part}' for name in names for part in ('mean', 'sd')]
    parts = ('', ' seeds low', ' seeds high', ' classes low', ' classes high')
    columns += [f'difference{part}' for part in parts]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    for row in collect(header, lines):
        values = [row['label'], row['n'], row['x']]
        for name in names:
            cell = row['cells'].get(name)
            values += ['', ''] if cell is None else [f'{cell.mean:.6g}', _number(cell.sd)]
        found = row['difference'] or Difference(None, 0, None, None)
        ends = [*(found.seeds or (None, None)), *(found.classes or (None, None))]
        writer.writerow([*values, *map(_number, (found.mean, *ends))])
    return text.getvalue()


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.6g}'
