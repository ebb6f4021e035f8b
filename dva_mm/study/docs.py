"""Pages whose tables are written from results, never by hand."""

import re
from pathlib import Path

from dva_mm.files import replace_atomically

from .results import read_results
from .tables import markdown

BLOCK = re.compile(r'(<!-- study: (\S+) -->\n)(.*?)(<!-- end -->)', re.S)


def fill(text: str, results: str | Path) -> str:
    """Put each study's table between ``<!-- study: NAME -->`` and ``<!-- end -->``.

    Args:
        text: Of a Markdown page.
        results: Folder with ``NAME.jsonl``.

    Raises:
        FileNotFoundError: A study has no results there.
        ValueError: A block does not end.

    >>> fill('Nothing to fill.', 'results')
    'Nothing to fill.'
    """
    blocks = len(BLOCK.findall(text))
    if blocks != text.count('<!-- study: '):
        raise ValueError(
            f'{text.count("<!-- study: ")} blocks <!-- study: NAME --> begin, {blocks} end with '
            '<!-- end -->'
        )

    def put(match: re.Match) -> str:
        file = Path(results) / f'{match[2]}.jsonl'
        header, lines = read_results(file)
        if header is None:
            raise FileNotFoundError(
                f'the page shows the study {match[2]}, and there is no {file}; run the study, or '
                'give the folder by --out'
            )
        return f'{match[1]}\n{markdown(header, lines)}\n{match[4]}'

    return BLOCK.sub(put, text)


def fill_page(page: str | Path, results: str | Path) -> bool:
    """Write the tables into a page; tells whether it changed."""
    page = Path(page)
    if not page.is_file():
        raise FileNotFoundError(f'there is no page {page}')
    old = page.read_text(encoding='utf-8')
    new = fill(old, results)
    if new != old:
        with replace_atomically(page) as partial:
            partial.write_text(new, encoding='utf-8')
    return new != old
