"""Tables of a study, from the lines of its results alone: Markdown and CSV."""

import csv
import io
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .results import rows_of

RESAMPLES = 10_000
TITLES = {
    'trainable': 'trained',
    'embedding': 'embedding',
    'seconds': 'training, s',
    'step_seconds': 'step, s',
    'memory_mb': 'memory, MB',
    'cuda_mb': 'GPU memory, MB',
}


class Spread(NamedTuple):
    """Mean, standard deviation (n - 1; None of one value) and number of values."""

    mean: float
    sd: float | None
    n: int

    def __str__(self) -> str:
        """Such as ``81.40 ± 1.20``."""
        return f'{self.mean:.2f}' + ('' if self.sd is None else f' ± {self.sd:.2f}')


class Difference(NamedTuple):
    """A paired difference to the baseline, with 95 % intervals over seeds, and classes as well."""

    mean: float
    n: int
    seeds: tuple[float, float] | None
    classes: tuple[float, float] | None


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation with n - 1, and number.

    >>> spread([1.0, 3.0])
    Spread(mean=2.0, sd=1.4142135623730951, n=2)
    """
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), sd, len(values))


def bootstrap_seeds(differences: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """The percentile bootstrap's 95 % interval of a mean over seeds; None of one value.

    Efron, "Bootstrap methods: another look at the jackknife", 1979.

    >>> bootstrap_seeds([1.0, 1.0, 1.0])
    (1.0, 1.0)
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2:
        return None
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_classes(
    hits: np.ndarray, images: np.ndarray, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % interval of a difference of Recall@1, in points, over seeds and test classes.

    Args:
        hits: (seeds, classes) difference of the numbers of right first hits.
        images: (classes,) number of queries.
        seed: Of the resampling.

    >>> bootstrap_classes(np.array([[1, 1], [1, 1]]), np.array([10, 10]))
    (10.0, 10.0)
    """
    runs, classes = hits.shape
    if classes < 2:
        return None
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES // 5)
    for index in range(len(means)):
        drawn = rng.integers(classes, size=classes)
        of_runs = hits[rng.integers(runs, size=runs)].sum(axis=0)
        means[index] = 100 * of_runs[drawn].sum() / (runs * images[drawn].sum())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def compare(runs: Sequence[dict], others: Sequence[dict], metric: str) -> Difference | None:
    """The difference of the runs of two rows, seed by seed; a frozen encoder pairs with each seed.

    None: no seed is in both, or the figure is missing.

    >>> a, b = ([dict(seed=s, metrics={'Recall@1': v + s})] for v, s in ((80.0, 0), (78.0, 0)))
    >>> compare(a, b, 'Recall@1').mean
    2.0
    """
    if _frozen(runs):
        pairs = [(runs[0], other) for other in others]
    else:
        by_seed, frozen = {run['seed']: run for run in others}, _frozen(others)
        pairs = [(run, frozen or by_seed.get(run['seed'])) for run in runs]
    pairs = [pair for pair in pairs if pair[1] and all(metric in r['metrics'] for r in pair)]
    if not pairs:
        return None
    values = [run['metrics'][metric] - other['metrics'][metric] for run, other in pairs]
    classes = None
    known = all(run.get('class_images') for pair in pairs for run in pair)
    if (
        metric == 'Recall@1'
        and known
        and len({tuple(r['class_images']) for p in pairs for r in p}) == 1
    ):
        hits = np.array([np.subtract(*(run['class_hits'] for run in pair)) for pair in pairs])
        classes = bootstrap_classes(hits, np.array(pairs[0][0]['class_images']))
    return Difference(float(np.mean(values)), len(pairs), bootstrap_seeds(values), classes)


def _frozen(runs: Sequence[dict]) -> dict | None:
    """The run of a frozen encoder, which has no seed to pair by; None of other rows."""
    return runs[0] if len(runs) == 1 and runs[0].get('seconds') is None else None


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
        text.append(
            f'Each setting was tried once on the last {share} of the training classes, held out;\n'
            'the best is in bold and was taken.'
        )
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
        trials = {
            str(line['chosen']): line
            for line in lines
            if line['kind'] == 'trial' and line['row'] == label
        }
        for line in list(trials.values())[-row['trials'] :] if row['trials'] else ():
            options = ', '.join(f'{k.split(".")[-1]} {v}' for k, v in line['chosen'].items())
            value = f'{line["metrics"]["Recall@1"]:.2f}'
            bold = '**' if line['chosen'] in taken else ''
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
