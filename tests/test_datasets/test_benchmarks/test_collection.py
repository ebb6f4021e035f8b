"""The data sets as a whole: found in their modules, and told of in the docs."""

import re
import shlex
from pathlib import Path

import pytest

from dva_mm.config import load_config
from dva_mm.datasets import BENCHMARKS, benchmarks
from dva_mm.detection.run import parse_arguments
from dva_mm.detection.source import find_source
from dva_mm.prepare import train_command
from dva_mm.prepare.unpack import ARCHIVE_SUFFIXES

FETCHED = [name for name, benchmark in BENCHMARKS.items() if benchmark.source]
DOCS = Path(__file__).resolve().parents[3] / 'docs' / 'datasets.md'


def test_every_data_set_is_found_under_its_name():
    assert {'cub', 'csv', 'demo_birds', 'folder', 'inaturalist', 'inaturalist2018'} < {*BENCHMARKS}
    assert len(FETCHED) == 9
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.name == name and benchmark.title and callable(benchmark.read)
        assert benchmark.published or not benchmark.source
    # No checksum stands twice.
    files = [file for name in FETCHED for file in BENCHMARKS[name].source.files if file.digest]
    assert len({file.digest for file in files}) == len(files) == 15


def test_a_module_is_all_that_a_new_data_set_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmarks, '__path__', [*benchmarks.__path__, str(tmp_path)])
    text = 'from dva_mm.datasets.record import Benchmark\nONE = Benchmark(None, "One", name={!r})\n'
    (tmp_path / 'auks.py').write_text(text.format(''))
    assert benchmarks._collect()['auks'].title == 'One'
    (tmp_path / 'owls.py').write_text(text.format('cub'))
    with pytest.raises(ValueError, match='cub'):
        benchmarks._collect()


def test_only_the_demo_birds_need_the_demo():
    for path in Path(benchmarks.__file__).parent.glob('*.py'):
        assert ('dva_mm.demo' in path.read_text()) == (path.name == 'demo_birds.py')


def test_the_numbers_of_the_common_benchmarks():
    counts = {name: it.published for name, it in BENCHMARKS.items() if it.published}
    for published in counts.values():  # the sides add up
        for sides in (published.open_images, published.closed_images):
            assert sides is None or sum(sides) == published.images > published.classes
    totals = {name: (published.classes, published.images) for name, published in counts.items()}
    assert totals == dict(
        cub=(200, 11788),
        cars=(196, 16185),
        dogs=(120, 20580),
        aircraft=(100, 10000),
        nabirds=(555, 48562),
        flowers=(102, 8189),
        pets=(37, 7349),
        sop=(22634, 120053),
        inshop=(7982, 52712),
        inaturalist2018=(8142, 461939),
    )
    assert BENCHMARKS['cub'].published.open_images == (5864, 5924)
    assert BENCHMARKS['cub'].published.closed_images == (5994, 5794)
    assert BENCHMARKS['cars'].published.open_images == (8054, 8131)
    assert BENCHMARKS['nabirds'].published.open_classes == (255, 300)
    assert BENCHMARKS['inshop'].published.queries == 14218


@pytest.mark.parametrize('name', FETCHED)
def test_each_source_is_whole_and_has_a_row_in_the_docs(name: str):
    benchmark, source = BENCHMARKS[name], BENCHMARKS[name].source
    counts = '{:,} / {:,}'.format(*benchmark.published.open_classes)
    rows = DOCS.read_text(encoding='utf-8').splitlines()
    assert any(row.startswith('|') and f'`{name}`' in row and counts in row for row in rows)
    assert source.root.startswith('data/') and 'Cite ' in source.terms
    assert benchmark.homepage.startswith('http') and source.base[:4] in ('', 'http')
    assert any(file.name.endswith(ARCHIVE_SUFFIXES) for file in source.files)
    assert len({file.name for file in source.files}) == len(source.files)
    for file in source.files:
        assert file.digest or not source.base.startswith('http:')
        assert not file.digest or re.fullmatch(r'sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}', file.digest)


@pytest.mark.parametrize('name', FETCHED)
def test_each_config_reads_where_its_source_is_unpacked_to(name: str):
    source, cfg = BENCHMARKS[name].source, load_config(f'dva_mm::dva_vit_{name}.py')
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        data = cfg[loader].dataset
        assert (data.data_root, data.reader) == (source.root, name)
    boxes = cfg.train_dataloader.dataset.get('boxes', 'annotation')
    assert (boxes == 'annotation') == source.boxes
    commands = train_command(name, '/my data/x').splitlines()
    assert commands[-1] == (
        f"python tools/train.py configs/dva_vit_{name}.py --cfg-options 'data_root=/my data/x'"
    )
    assert len(commands) == 2 - source.boxes
    if not source.boxes:  # the default would be named after the folder
        args = parse_arguments(shlex.split(commands[0])[2:])
        assert str(args.out) == boxes and find_source(args.detector).source == 'attention'
        assert train_command(name, source.root).splitlines()[0].endswith('--split all')
