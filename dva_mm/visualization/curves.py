"""Curves of training runs, from the scalars that MMEngine writes."""

import io
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from .thumbnails import data_uri

Curves = dict[str, dict[int, float]]
"""Values by step, by name."""
_OTHER = ('lr', 'base_lr', 'time', 'data_time', 'memory', 'grad_norm', 'epoch', 'iter', 'step')


def read_scalars(work_dir: str | Path) -> tuple[Curves, Curves]:
    """The loss terms over iterations, and the metrics over epochs (or what the run counts).

    A run that was resumed has several files; where two hold a step, the newer one counts. A line
    that a killed run left half written is passed over.

    Args:
        work_dir: Of a run: scalars lie in ``TIME/vis_data/scalars.json`` below it.

    Raises:
        FileNotFoundError: If there are none.
    """
    files = sorted(Path(work_dir).expanduser().glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(
            f'{work_dir} holds no TIME/vis_data/scalars.json; give the work directory of a run '
            "whose visualizer has a LocalVisBackend, as this package's configs have"
        )
    losses: Curves = defaultdict(dict)
    metrics: Curves = defaultdict(dict)
    for file in files:
        for line in file.read_text(encoding='utf-8').splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            for name, value in row.items():
                if name.startswith('loss'):
                    losses[name][row.get('iter', row['step'])] = value
                elif name.startswith('retrieval/') or (name not in _OTHER and 'loss' not in row):
                    metrics[name][row['step']] = value
    return dict(losses), dict(metrics)


def draw_curves(runs: Sequence[tuple[str, Curves]], x_label: str) -> str:
    """One panel a name, one line a run, as an SVG picture's data URI.

    Args:
        runs: Name and curves of each run.
        x_label: What the steps are.

    >>> draw_curves([('a', {'loss': {1: 2.0, 2: 1.0}})], 'iteration')[:18]
    'data:image/svg+xml'
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for _, curves in runs for name in curves))
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.6 * columns, 2.6 * rows), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    lines = {}
    for panel, name in zip(axes, names, strict=False):
        for number, (run, curves) in enumerate(runs):
            if points := sorted(curves.get(name, {}).items()):
                style = dict(color=f'C{number}', marker='o' if len(points) < 30 else None)
                drawn = panel.plot(*zip(*points, strict=True), markersize=3, linewidth=1.2, **style)
                # A label that begins with '_' would be left out of the legend.
                lines[f'\u200b{run}'.replace('$', r'\$')] = drawn[0]
        panel.set_title(name.removeprefix('retrieval/').replace('$', r'\$'), fontsize=10)
        panel.set_xlabel(x_label, fontsize=8)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
    for panel in axes[len(names) :]:
        panel.set_visible(False)
    if len(runs) > 1:
        place = dict(loc='outside upper center', ncols=min(4, len(runs)))
        figure.legend(lines.values(), lines.keys(), fontsize=8, **place)
    content = io.BytesIO()
    figure.savefig(content, format='svg', metadata=dict(Date=None))
    return data_uri(content.getvalue(), 'image/svg+xml')
