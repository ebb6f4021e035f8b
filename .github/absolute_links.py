"""Rewrite README.md's relative links for PyPI, which shows it outside of the repository.

Usage: ``python .github/absolute_links.py README.md https://github.com/OWNER/NAME v0.2.0``
"""

import re
import sys
from pathlib import Path


def absolute(text: str, repository: str, ref: str) -> str:
    """Make relative links and images absolute: files at ``ref``, ``../../`` at the repository."""

    def link(match: re.Match) -> str:
        image, label, target = match.groups()
        if target.startswith('../../'):
            return f'{image}[{label}]({repository}/{target[6:]})'
        kind = 'raw' if image else 'blob'
        return f'{image}[{label}]({repository}/{kind}/{ref}/{target})'

    pattern = r'(!?)\[((?:!\[[^\]]*\]\([^)]*\)|[^\]])*?)\]\((?!https?:|#)([^)]+)\)'
    while (changed := re.sub(pattern, link, text)) != text:  # an image inside a link
        text = changed
    return text


if __name__ == '__main__':
    file, repository, ref = sys.argv[1:]
    path = Path(file)
    path.write_text(absolute(path.read_text(), repository, ref))
