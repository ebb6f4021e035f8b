"""The loop over the images: shards, kills, fallbacks."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from dva_mm.datasets.box_file import load_box_file, parse_entry, read_box_file
from dva_mm.datasets.image import read_image
from dva_mm.detection.cache import cache_boxes, make_entry
from dva_mm.detection.source import Detection

NAMES = [f'{label}/{index}.png' for label in 'ab' for index in range(4)]


class Corner:
    """Finds the top left quarter; knows nothing of images 13 pixels wide; stops on demand."""

    source = 'corner'

    def __init__(self, stop_after: int | None = None, **options: object) -> None:
        self.options = dict(options)
        self.left = stop_after
        self.seen: list[tuple[int, int]] = []

    @staticmethod
    def prepare(path: Path) -> tuple[int, int]:
        return read_image(path).shape[1::-1]

    def detect(
        self, inputs: Sequence[tuple[int, int]], sizes: Sequence[tuple[int, int]]
    ) -> list[Detection | None]:
        assert list(inputs) == list(sizes)
        if self.left == 0:
            raise KeyboardInterrupt
        self.left = None if self.left is None else self.left - 1
        self.seen += sizes
        return [None if w == 13 else Detection((0, 0, w / 2, h / 2), w / 100) for w, h in sizes]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Eight images, 10 to 17 pixels wide."""
    made = [tmp_path / 'data' / name for name in NAMES]
    for index, path in enumerate(made):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (10 + index, 20)).save(path)
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / 'data'


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / 'boxes' / 'x.jsonl'


def files(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


@pytest.mark.parametrize('num_workers', [0, 2])
def test_each_image_gets_its_own_box(paths, root: Path, out: Path, num_workers: int):
    done = cache_boxes(Corner(), root, paths[::-1], out, batch_size=3, num_workers=num_workers)
    assert done
    header, entries = read_box_file(out)
    assert header['source'] == 'corner' and list(entries) == NAMES
    for index, name in enumerate(NAMES):
        entry = entries[name]
        if index == 3:
            assert (entry.box, entry.score, entry.source) == ((0, 0, 13, 20), 0, 'fallback')
        else:
            assert entry.box == ((0, 0, (10 + index) / 2, 10))
            assert (entry.score, entry.source) == ((10 + index) / 100, 'corner')
    assert files(out) == ['x.jsonl']
    assert load_box_file(out, root, paths)[str(paths[5])] == (0, 0, 7.5, 10)


def test_the_last_shard_writes_the_file(paths, root: Path, out: Path):
    sources = [Corner() for _ in range(3)]
    for index, last in ((2, False), (0, False), (1, True)):
        done = cache_boxes(sources[index], root, paths, out, batch_size=2, shard=(index, 3))
        assert done == last and out.exists() == last
    widths = [[width for width, _ in source.seen] for source in sources]
    assert widths == [[10, 13, 16], [11, 14, 17], [12, 15]]
    alone = out.with_name('alone.jsonl')
    cache_boxes(Corner(), root, paths, alone)
    assert out.read_bytes() == alone.read_bytes()
    assert files(out) == ['alone.jsonl', 'x.jsonl']


@pytest.mark.parametrize('begun', [None, b'', b'{"format": "dva'])
def test_a_shard_does_not_merge_what_another_has_not_finished(
    paths, root: Path, out: Path, begun: bytes | None
):
    """None: killed after a batch; else what of its header is written."""
    if begun is None:
        with pytest.raises(KeyboardInterrupt):
            cache_boxes(Corner(stop_after=1), root, paths, out, batch_size=2, shard=(0, 2))
    else:
        out.parent.mkdir()
        out.with_name('x.jsonl.shard-0-of-2.partial').write_bytes(begun)
    assert not cache_boxes(Corner(), root, paths, out, shard=(1, 2))
    assert not out.exists()
    assert cache_boxes(Corner(), root, paths, out, shard=(0, 2))
    assert list(read_box_file(out)[1]) == NAMES


@pytest.mark.parametrize('torn', [b'', b'{"image": "a/1.p', b'{'])
def test_a_killed_run_goes_on_where_it_stopped(paths, root: Path, out: Path, torn: bytes):
    with pytest.raises(KeyboardInterrupt):
        cache_boxes(Corner(stop_after=2), root, paths, out, batch_size=2)
    assert files(out) == ['x.jsonl.shard-0-of-1.partial']
    part = out.with_name('x.jsonl.shard-0-of-1.partial')
    part.write_bytes(part.read_bytes() + torn)
    second = Corner()
    assert cache_boxes(second, root, paths, out, batch_size=2)
    assert [width for width, _ in second.seen] == [14, 15, 16, 17]
    whole = out.with_name('whole.jsonl')
    cache_boxes(Corner(), root, paths, whole, batch_size=2)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize('bad', [b'{"image": "a/0.png"}\n', b'\xff\n', b'nothing\n'])
def test_a_partial_file_with_a_bad_line_is_named(paths, root: Path, out: Path, bad: bytes):
    """By its own shard and by the one that merges."""
    cache_boxes(Corner(), root, paths, out, shard=(0, 2))
    part = out.with_name('x.jsonl.shard-0-of-2.partial')
    part.write_bytes(part.read_bytes() + bad)
    for index in (0, 1):
        with pytest.raises(ValueError, match='shard-0-of-2.partial, line 6'):
            cache_boxes(Corner(), root, paths, out, shard=(index, 2))


def test_a_whole_file_is_not_made_again_and_options_are_not_mixed(paths, root: Path, out: Path):
    with pytest.raises(KeyboardInterrupt):
        cache_boxes(Corner(stop_after=1, keep=0.5), root, paths, out, batch_size=2)
    with pytest.raises(ValueError, match="partial .*options=.'keep': 0.5.*'keep': 0.6"):
        cache_boxes(Corner(keep=0.6), root, paths, out)
    cache_boxes(Corner(keep=0.5), root, paths, out)
    with pytest.raises(ValueError, match=r'x.jsonl .*options=.*--out'):
        cache_boxes(Corner(keep=0.6), root, paths, out)
    with pytest.raises(ValueError, match=r'x.jsonl .*num_images=8.*5'):
        cache_boxes(Corner(keep=0.5), root, paths[:5], out)
    again = Corner(keep=0.5)
    assert cache_boxes(again, root, paths, out) and again.seen == []  # it is complete


@pytest.mark.parametrize('shard', [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_does_not_exist_is_refused(paths, root: Path, out: Path, shard):
    with pytest.raises(ValueError, match=f'{shard[0]}/{shard[1]}'):
        cache_boxes(Corner(), root, paths, out, shard=shard)


def test_an_image_that_cannot_be_read_is_named(paths, root: Path, out: Path):
    paths[2].write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'a/2.png.*take it out'):
        cache_boxes(Corner(), root, paths, out)


def test_a_photograph_is_turned_as_in_training(root: Path, out: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    root.mkdir()
    Image.new('RGB', (20, 10)).save(root / 'a.jpg', exif=exif)
    source = Corner()
    cache_boxes(source, root, [root / 'a.jpg'], out)
    assert source.seen == [(10, 20)]
    assert load_box_file(out, root, [root / 'a.jpg'])[str(root / 'a.jpg')] == (0, 0, 5, 10)


@pytest.mark.parametrize(
    'box',
    [
        *((21, 0, 30, 5), (5, 5, 5, 9), (5, 5, 4, 9), (-9, 0, -1, 5)),
        *((float('nan'), 0, 5, 5), (0, 0, float('inf'), 5)),
        # Slivers: of no width once rounded.
        *((-5, 0, 0.004, 10), (19.998, 0, 45, 10), (0, -5, 20, 0.004), (0, 9.996, 20, 30)),
        (5.001, 0, 5.004, 9),
    ],
)
def test_a_box_is_cut_to_the_image_and_nothing_left_of_it_is_a_fallback(box: tuple[float, ...]):
    cut = make_entry('a', (20, 10), Detection((-3.0, -1.0, 25.0, 7.126), 0.5), 'x')
    assert cut.box == (0, 0, 20, 7.13)
    entry = make_entry('a', (20, 10), Detection(box, 0.5), 'x')
    assert (entry.box, entry.score, entry.source) == ((0, 0, 20, 10), 0, 'fallback')
    for each in (cut, entry):
        assert parse_entry(json.dumps(asdict(each))) == each
