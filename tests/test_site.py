"""The documentation as a site: built without a warning, and looked at in a browser."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import requested, set_width, start_chromium

pytest.importorskip('material', reason='mkdocs-material is not installed')
pytest.importorskip('mkdocstrings', reason='mkdocstrings is not installed')
ROOT = Path(__file__).resolve().parents[1]
WIDE_LOGS = {'model_zoo'}  # tables of eight columns scroll in a box of their own


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('site')
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', folder],
        cwd=ROOT,
        env=os.environ | {'NO_MKDOCS_2_WARNING': '1'},  # of the theme's plans, not of this site
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0 and 'WARNING' not in done.stdout, done.stdout
    return folder


def text_of(page: Path) -> str:
    return page.read_text(encoding='utf-8')


def test_the_site_has_every_page_and_nothing_else(site: Path):
    sources = {p.relative_to(ROOT / 'docs').with_suffix('') for p in (ROOT / 'docs').rglob('*.md')}
    shown = {p.parent.relative_to(site) for p in site.rglob('index.html')}
    folders = {s.parent if s.name == 'index' else s for s in sources}
    assert shown == folders | {Path('tutorial')}
    assert not list(site.rglob('*.py'))


def test_examples_and_cross_references_of_docstrings_are_markdown(site: Path):
    """A bare >>> would become nested quotations."""
    pages = [text_of(page) for page in (site / 'api').rglob('index.html')]
    assert len(pages) == len(list((ROOT / 'docs' / 'api').glob('*.md')))
    for page in pages:
        assert '<blockquote>' not in page
        assert not re.search(r':(class|func|meth|mod|math|attr):', page)
    assert sum(page.count('language-pycon') for page in pages) > 50


def test_the_notebook_is_a_page_with_its_outputs(site: Path):
    notebook = json.loads((ROOT / 'docs' / 'tutorial.ipynb').read_text(encoding='utf-8'))
    code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    page = text_of(site / 'tutorial' / 'index.html')
    assert page.count('language-python') == len(code)
    outputs = [output for cell in code for output in cell['outputs']]
    pictures = [output for output in outputs if output['output_type'] == 'execute_result']
    assert len(list((site / 'images').glob('tutorial_*.jpg'))) == len(pictures) >= 3
    assert page.count('images/tutorial_') == len(pictures)
    assert re.search(r'Recall@1 \d+\.\d\d', page)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope='module')
def address(site: Path):
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


@pytest.fixture(scope='module')
def driver(tmp_path_factory: pytest.TempPathFactory):
    driver = start_chromium(tmp_path_factory.mktemp('profile'))
    yield driver
    driver.quit()


WIDER = """
const root = document.scrollingElement;
const boxes = [...document.querySelectorAll('.md-typeset__scrollwrap')];
const wider = box => box.scrollWidth - box.clientWidth;
window.scrollTo(1000, 0);
return {page: wider(root), scrolled: window.scrollX, tables: Math.max(0, ...boxes.map(wider))};
"""


def test_pages_fit_a_desktop_and_a_phone_and_ask_for_nothing_else(driver, address, site):
    driver.get('about:blank')
    driver.get_log('browser')
    requested(driver)
    wide = {}
    for page in sorted(site.rglob('index.html')):
        name = page.parent.relative_to(site).as_posix()
        driver.get(f'{address}/{name}/')
        for width in (1280, 390):
            set_width(driver, width)
            assert driver.execute_script('return innerWidth') == width
            for _ in range(20):  # the menu slides for a moment after a change of width
                found = driver.execute_script(WIDER)
                if name in WIDE_LOGS:
                    found['tables'] = 0
                if not any(found.values()):
                    break
                time.sleep(0.1)
            if any(found.values()):
                wide[name, width] = found
    assert wide == {}
    assert driver.get_log('browser') == []
    ours = (address, 'data:', 'blob:', 'about:')
    assert [url for url in requested(driver) if not url.startswith(ours)] == []


def test_search_of_the_site_finds_a_term(driver, address):
    from selenium.webdriver.support.ui import WebDriverWait

    set_width(driver, 1280)
    driver.get(f'{address}/')
    driver.find_element('css selector', '.md-search__input').send_keys('proxy')
    results = 'return [...document.querySelectorAll(".md-search-result__link")].map(a => a.href)'
    found = WebDriverWait(driver, 60).until(lambda driver: driver.execute_script(results))
    assert any('glossary' in link for link in found)
