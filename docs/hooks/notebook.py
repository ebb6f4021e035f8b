"""MkDocs shows the tutorial's notebook as a page, outputs included."""

import base64
import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

NOTEBOOK = 'tutorial.ipynb'
KINDS = {'image/jpeg': 'jpg', 'image/png': 'png'}
LONG = 12  # lines of an output that is shown unfolded


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page and its pictures."""
    notebook = json.loads((Path(config.docs_dir) / NOTEBOOK).read_text(encoding='utf-8'))
    text, pictures = to_markdown(notebook)
    page = Path(NOTEBOOK).with_suffix('.md').as_posix()
    files.append(File.generated(config, page, content=text))
    for name, content in pictures.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let other pages' links to the notebook lead to its page."""
    if page.file.src_uri == 'tutorial.md':
        return markdown
    return markdown.replace(f']({NOTEBOOK})', '](tutorial.md)')


def to_markdown(notebook: dict) -> tuple[str, dict[str, bytes]]:
    """Turn a notebook into Markdown and the pictures, by name, that it shows.

    >>> cell = dict(cell_type='markdown', source=['# Title', 'text'])
    >>> to_markdown(dict(cells=[cell]))
    ('# Titletext\\n', {})
    """
    parts, pictures = [], {}
    for cell in notebook['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown':
            parts.append(source)
            continue
        parts.append(_fence(source, 'python'))
        for output in cell['outputs']:
            data = output.get('data', {})
            kind = next((kind for kind in KINDS if kind in data), None)
            if kind:
                name = f'images/tutorial_{len(pictures) + 1}.{KINDS[kind]}'
                pictures[name] = base64.b64decode(data[kind])
                parts.append(f'![What the cell above shows]({name})')
                continue
            text = ''.join(output.get('text', data.get('text/plain', ''))).strip()
            shown = _fence(text, 'text')
            if text.count('\n') >= LONG:
                shown = f'<details markdown="1"><summary>Output</summary>\n\n{shown}\n\n</details>'
            parts.append(shown)
    return '\n\n'.join(parts) + '\n', pictures


def _fence(text: str, language: str) -> str:
    longest = max(map(len, re.findall('`+', text)), default=0)
    ticks = '`' * max(3, longest + 1)
    return f'{ticks}{language}\n{text}\n{ticks}'
