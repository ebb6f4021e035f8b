"""Pages whose tables and plots are written from results, never by hand."""

import re
from pathlib import Path

from dva_mm.files import replace_atomically

from .results import read_results
from .tables import markdown

BLOCK = re.compile(r'(<!-- (study|plot): (\S+) -->\n)(.*?)(<!-- end -->)', re.S)
BEGIN = re.compile(r'<!-- (?:study|plot): ')


def fill(text: str, results: str | Path) -> str:
    """Put each study's table between ``<!-- study: NAME -->`` and ``<!-- end -->``.

    Between ``<!-- plot: NAME -->`` and ``<!-- end -->`` goes its plot, ``images/NAME.svg``.

    Args:
        text: Of a Markdown page.
        results: Folder with ``NAME.jsonl``.

    Raises:
        FileNotFoundError: A study has no results there.
        ValueError: A block does not end.

    >>> fill('Nothing to fill.', 'results')
    'Nothing to fill.'
    """
    begun, ended = len(BEGIN.findall(text)), len(BLOCK.findall(text))
    if begun != ended:
        raise ValueError(
            f'{begun} blocks <!-- study: NAME --> or <!-- plot: NAME --> begin, {ended} end with '
            '<!-- end -->'
        )

    def put(match: re.Match) -> str:
        mark, kind, name, _, end = match.groups()
        file = Path(results) / f'{name}.jsonl'
        header, lines = read_results(file)
        if header is None:
            raise FileNotFoundError(
                f'the page shows the study {name}, and there is no {file}; run the study, or '
                'give the folder by --out'
            )
        shown = f'![Plot of {name}](images/{name}.svg)\n'
        return f'{mark}\n{markdown(header, lines) if kind == "study" else shown}\n{end}'

    return BLOCK.sub(put, text)


def fill_page(page: str | Path, results: str | Path) -> bool:
    """Write the tables into a page, and plots into ``images`` beside it; tells if any changed."""
    page = Path(page)
    if not page.is_file():
        raise FileNotFoundError(f'there is no page {page}')
    old = page.read_text(encoding='utf-8')
    new = fill(old, results)
    content = {page: new.encode()}
    for _, kind, name, _, _ in BLOCK.findall(new):
        if kind == 'plot':
            plot = Path(results) / f'{name}.svg'
            if not plot.is_file():
                raise FileNotFoundError(
                    f'the page shows {plot}, which is not there; make it by --tables'
                )
            content[page.parent / 'images' / plot.name] = plot.read_bytes()
    stale = [f for f, data in content.items() if not f.is_file() or f.read_bytes() != data]
    for file in stale:
        file.parent.mkdir(exist_ok=True)
        with replace_atomically(file) as partial:
            partial.write_bytes(content[file])
    return bool(stale)
