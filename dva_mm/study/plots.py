"""The picture of a study: a figure against the rows' numbers, or a bar a row."""

import io
from collections.abc import Sequence

from .tables import collect

COLOURS = ('#00695c', '#c2410c', '#4338ca', '#a16207', '#be185d', '#374151')


def draw(header: dict, lines: Sequence[dict], kind: str = 'svg') -> bytes | None:
    """Draw the first figure of a study, or that of ``plot``, with its standard deviation.

    Rows with ``x`` are points, those of one ``line`` joined; the others are horizontal lines.
    Without any ``x``, each row is a bar.

    Args:
        header: Of the results.
        lines: Of the results.
        kind: 'svg' or 'png'.

    Returns:
        The file's content, or None where no run is done yet.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    plot = header.get('plot') or {}
    name = plot.get('y', header['metrics'][0])
    shown = dict(header, metrics=list(dict.fromkeys([*header['metrics'], name])))
    rows = [row for row in collect(shown, lines) if name in row['cells']]
    if not rows:
        return None
    with mpl.rc_context({'svg.hashsalt': header['study'], 'font.size': 9}):
        points = [row for row in rows if row['x'] is not None]
        height = 3.4 if points else 0.9 + 0.3 * len(rows)
        chart = Figure(figsize=(6.4, height), layout='constrained')
        panel = chart.subplots()
        if points:
            _points(panel, rows, name, plot)
        else:
            _bars(panel, rows, name)
        panel.set_title(_plain(plot.get('title', header['study'])), fontsize=10)
        content = io.BytesIO()
        chart.savefig(
            content, format=kind, dpi=150, metadata={'Date': None} if kind == 'svg' else None
        )
    return content.getvalue()


def _points(panel, rows: Sequence[dict], name: str, plot: dict) -> None:
    names = list(dict.fromkeys(row['line'] or '' for row in rows if row['x'] is not None))
    for number, line in enumerate(names):
        of_line = sorted(
            (row for row in rows if row['x'] is not None and (row['line'] or '') == line),
            key=lambda row: row['x'],
        )
        cells = [row['cells'][name] for row in of_line]
        panel.errorbar(
            [row['x'] for row in of_line],
            [cell.mean for cell in cells],
            yerr=[cell.sd or 0 for cell in cells],
            marker='o',
            markersize=4,
            capsize=3,
            color=COLOURS[number % len(COLOURS)],
            label=_plain(line) or None,
        )
    for number, row in enumerate(row for row in rows if row['x'] is None):
        colour = COLOURS[(len(names) + number) % len(COLOURS)]
        mean = row['cells'][name].mean
        panel.axhline(mean, linestyle='--', linewidth=1, color=colour, label=_plain(row['label']))
    if plot.get('log'):
        panel.set_xscale('log')
    panel.set_xlabel(_plain(plot.get('x_label', '')))
    panel.set_ylabel(_plain(name))
    panel.grid(alpha=0.3)
    if panel.get_legend_handles_labels()[1]:
        panel.legend(fontsize=8)


def _bars(panel, rows: Sequence[dict], name: str) -> None:
    places = range(len(rows))[::-1]  # the first row on top
    cells = [row['cells'][name] for row in rows]
    means = [cell.mean for cell in cells]
    spreads = [cell.sd or 0 for cell in cells]
    panel.barh(places, means, xerr=spreads, height=0.6, color=COLOURS[0], ecolor='#374151')
    panel.set_yticks(places, [_plain(row['label']) for row in rows])
    ends = [mean + sd for mean, sd in zip(means, spreads, strict=True)]
    for place, mean, end in zip(places, means, ends, strict=True):
        panel.annotate(f'{mean:.1f}', (end, place), (4, 0), textcoords='offset points', va='center')
    panel.set_xlim(0, 1.12 * max(ends) or 1)
    panel.set_xlabel(_plain(name))
    panel.grid(axis='x', alpha=0.3)


def _plain(text: str) -> str:
    """A text without matplotlib's formulas."""
    return text.replace('$', r'\$')
