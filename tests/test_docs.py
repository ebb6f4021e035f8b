"""The documentation: short lines, links that lead somewhere, and names of things that exist."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers

from dva_mm.models.pml_builder import names

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / 'docs').rglob('*.md'))
HOW_TO = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *DOCS]
PAGES = sorted({*ROOT.glob('*.md'), *DOCS})
API = sorted((ROOT / 'docs' / 'api').glob('*.md'))
NO_PAGE = {'BENCHMARKS', 'build_tuning'}  # a dict; what configs call by themselves
WIDTH = 100

FENCE = re.compile(r'^ *```.*?^ *```', re.M | re.S)
ONLY_A_URL = re.compile(r'\s*(\[[^\]]+\]: |[-*] )?<?https?://\S+$')
PATH = re.compile(r'[\w.]+(?:/[\w.]+)*/\w+\.(?:py|sh)\b|\b(?:configs|dva_mm|tests|tools)/[\w./]*\w')
SHIPPED = re.compile(r'dva_mm::([\w/.]+\.py)')
MODULE = re.compile(r'python -m (dva_mm\.[\w.]*\w)')
BARE = re.compile(r'`(\w+\.py)`')
PLACEHOLDER = re.compile(r'NAME|^my_')


def per_page(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        'page', pages, ids=lambda page: page.relative_to(ROOT).as_posix()
    )


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings: those that GitHub and MkDocs agree on."""
    text = FENCE.sub('', page.read_text(encoding='utf-8'))
    headings = re.findall(r'^#+ (.+)', text, re.M)
    plain = [re.sub(r'[^\w\s-]', '', heading).strip().lower() for heading in headings]
    return {h.replace(' ', '-') for h in plain} & {re.sub(r'[-\s]+', '-', h) for h in plain}


def missing_paths(text: str) -> list[str]:
    """Files and folders that a text names, from the root or from the package, and that are not."""
    named = set(PATH.findall(text)) | {f'configs/{name}' for name in SHIPPED.findall(text)}
    named |= {f'configs/{name}' for name in BARE.findall(text)}
    modules = [name.replace('.', '/') for name in MODULE.findall(text)]
    named |= {f'{m}/__main__.py' if (ROOT / m).is_dir() else f'{m}.py' for m in modules}
    roots = (ROOT, ROOT / 'dva_mm', ROOT / 'dva_mm' / 'models')
    return sorted(
        name
        for name in named
        if not PLACEHOLDER.search(name.split('/')[-1])
        and not any((root / name).exists() for root in roots)
    )


@per_page(PAGES)
def test_lines_are_short(page: Path):
    """At most 100 characters; rows of tables, single URLs and logs (```text) may be longer."""
    text = re.sub(r'^ *```text\n.*?^ *```', '', page.read_text(encoding='utf-8'), flags=re.M | re.S)
    long = [line for line in text.splitlines() if len(line) > WIDTH]
    assert [line for line in long if line[:1] != '|' and not ONLY_A_URL.match(line)] == []


@per_page(PAGES)
def test_links_lead_somewhere(page: Path):
    text = re.sub(r'`[^`]*`', '', FENCE.sub('', page.read_text(encoding='utf-8')))
    defined = dict(re.findall(r'^\[([^\]]+)\]: (\S+)$', text, re.M))
    used = set(re.findall(r'\]\[([^\]]+)\]', text))
    assert used <= defined.keys()
    targets = [*re.findall(r'\]\(([^)\s]+)\)', text), *defined.values()]
    for target in targets:
        if target.startswith(('https://', 'http://', '../../')):  # the last: of the repository
            continue
        file, _, anchor = target.partition('#')
        other = page.parent / file if file else page
        assert other.is_file(), target
        assert not anchor or anchor in anchors(other), target


@per_page(HOW_TO)
def test_what_is_named_exists(page: Path):
    assert missing_paths(page.read_text(encoding='utf-8')) == []


def test_every_page_is_in_the_navigation():
    nav = yaml.safe_load((ROOT / 'mkdocs.yml').read_text(encoding='utf-8'))['nav']
    shown = [page.relative_to(ROOT / 'docs').as_posix() for page in DOCS]
    assert sorted(pages_of(nav)) == sorted([*shown, 'tutorial.md'])  # made of the notebook


def pages_of(nav: list | str) -> list[str]:
    """The files of a navigation, groups and groups of groups included."""
    if isinstance(nav, str):
        return [nav]
    return [page for entry in nav for value in entry.values() for page in pages_of(value)]


@pytest.mark.parametrize(
    'part',
    [
        'datasets',
        'engine',
        'evaluation',
        'models',
        'models.tuning',
        'prepare',
        'retrieval',
        'export',
        'study',
    ],
)
def test_every_public_class_and_function_is_in_the_api(part: str):
    shown = re.findall(
        r'^::: dva_mm\.([\w.]+)$', ''.join(p.read_text(encoding='utf-8') for p in API), re.M
    )
    assert all(importlib.util.find_spec(f'dva_mm.{n.rpartition(".")[0]}') for n in shown)
    public = set(importlib.import_module(f'dva_mm.{part}').__all__) - NO_PAGE
    assert public <= {name.rpartition('.')[2] for name in shown}


def test_every_configuration_is_listed():
    text = ''.join(page.read_text(encoding='utf-8') for page in DOCS)
    for config in (ROOT / 'configs').glob('*.py'):
        row = f'| `{config.stem.removeprefix("dva_vit_")}` |'  # of the data sets
        assert config.name in text or row in text, config.name


@pytest.mark.parametrize('family', [losses, miners, distances, reducers, regularizers])
def test_all_that_is_covered_of_pml_is_listed(family: ModuleType):
    page = (ROOT / 'docs' / 'baselines.md').read_text(encoding='utf-8')
    assert [name for name in names(family) if f'`{name}`' not in page] == []
