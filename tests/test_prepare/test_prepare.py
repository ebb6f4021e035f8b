"""The command from end to end, against a local server with tiny official archives."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import archives
import pytest
from tiny_data import write_cub, write_folder

from dva_mm.datasets import BENCHMARKS
from dva_mm.prepare.run import main as run_command

WRITERS = dict(cub=write_cub, cars=archives.write_cars_devkit)
WRITERS |= {
    name: getattr(archives, f'write_{name}')
    for name in ('dogs', 'aircraft', 'nabirds', 'flowers', 'pets', 'sop', 'inshop')
}
# What lies in which file; by default the archive's only one holds its whole top folder.
CONTENTS = {
    'cars_train.tgz': 'cars_train',
    'cars_test.tgz': 'cars_test',
    'car_devkit.tgz': 'devkit',
    'images.tar': 'Images',
    'annotation.tar': 'Annotation',
    'lists.tar': '*.mat',
    '102flowers.tgz': 'jpg',
    'images.tar.gz': 'images',
    'annotations.tar.gz': 'annotations',
    'img.zip': 'Img/img',
}


def pack(name: str, folder: Path) -> dict[str, bytes]:
    """The official files of a data set in its official folder."""
    files = {}
    source = BENCHMARKS[name].source
    for file in source.files:
        if not file.name.endswith(('.zip', '.tar', 'gz')):
            files[file.name] = (folder / file.place / file.name).read_bytes()
            continue
        paths = folder.glob(CONTENTS.get(file.name, '*'))
        entries = {path: Path(source.top, path.name) for path in paths}
        if file.name.endswith('.zip'):
            files[file.name] = pack_zip(entries)
        else:
            files[file.name] = pack_tar(entries, 'w:gz' if file.name.endswith('gz') else 'w')
    return files


def pack_tar(entries: dict[Path, Path], mode: str = 'w:gz') -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for path, name in entries.items():
            archive.add(path, name)
    return out.getvalue()


def pack_zip(entries: dict[Path, Path]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for path, name in entries.items():
            for inner in [path, *path.rglob('*')]:
                archive.write(inner, name / inner.relative_to(path))
    return out.getvalue()


@pytest.fixture
def offer(server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Put a tiny data set on the server, with its checksums where official ones are published."""

    def put(name: str, **changes: bytes) -> None:
        folder = WRITERS[name](tmp_path / 'official' / name)
        files = pack(name, folder) | changes
        benchmark = BENCHMARKS[name]
        known = tuple(
            file._replace(
                digest=file.digest and f'sha256:{hashlib.sha256(files[file.name]).hexdigest()}'
            )
            for file in benchmark.source.files
        )
        source = benchmark.source._replace(files=known, base=benchmark.source.base and server.url)
        benchmark = benchmark._replace(source=source, published=None)
        monkeypatch.setitem(BENCHMARKS, name, benchmark)
        server.files |= files

    monkeypatch.setattr('dva_mm.prepare.download.time.sleep', lambda _: None)
    return put


@pytest.fixture
def main(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> Callable[..., tuple[int, str, str]]:
    """The command in an empty folder: exit code, what it printed, what it complained of."""
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')

    def run(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command(list(argv))
        return code, *capsys.readouterr()

    return run


def listing(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_cub_from_the_server_to_the_command(main, offer, server):
    offer('cub')
    code, out, _ = main('cub', '--report', 'report.json')
    assert code == 0
    assert listing('data') == ['CUB_200_2011']  # neither archives nor temporary folders
    lines = out.splitlines()
    assert lines[0].startswith('CUB-200-2011: https://www.vision.caltech.edu')
    assert 'Non-commercial' in lines[1]
    assert f'download {server.url}/CUB_200_2011.tgz' in lines
    assert lines[-2:] == [
        'found: 36 images of 6 classes in data/CUB_200_2011',
        'train: python tools/train.py configs/dva_vit_cub.py',
    ]
    assert json.loads(Path('report.json').read_text())['images'] == 36
    # The second run downloads nothing.
    server.requests.clear()
    code, out, _ = main('cub')
    assert code == 0 and 'already unpacked: data/CUB_200_2011' in out
    assert server.requests == []


@pytest.mark.parametrize('name', WRITERS)
def test_every_official_format(main, offer, server, name, tmp_path):
    """With a mirror, which also serves what officially only a person can fetch."""
    assert {*WRITERS} == {name for name, it in BENCHMARKS.items() if it.source}
    offer(name)
    code, out, err = main(name, '--url-base', f'{server.url}/')
    assert code == 0, out + err
    root, read = BENCHMARKS[name].source.root, BENCHMARKS[name].read
    here, there = read(root), read(tmp_path / 'official' / name)
    assert here.classes == there.classes
    assert [record._replace(path='') for record in here.records] == [
        record._replace(path='') for record in there.records
    ]
    assert f'found: {len(here.records)} images of {len(here.classes)} classes in {root}' in out
    assert main(name, '--check')[0] == 0


def test_a_broken_run_is_resumed_by_the_next(main, offer, server):
    offer('cub')
    whole = len(server.files['CUB_200_2011.tgz'])
    server.cuts, server.statuses = [whole // 3], [200, 403]
    code, _, err = main('cub')
    assert code == 2 and 'the server answers 403' in err
    assert 'Or get CUB_200_2011.tgz by hand from https://www.vision.caltech' in err
    assert listing('data') == ['downloads']
    assert main('cub')[0] == 0
    assert server.sent == whole


def test_a_wrong_checksum(main, offer, server):
    offer('cub')
    server.files['CUB_200_2011.tgz'] = server.files['CUB_200_2011.tgz'][:-1] + b'?'
    code, _, err = main('cub')
    assert code == 2 and 'CUB_200_2011.tgz has a wrong checksum' in err
    assert listing('data') == ['downloads'] and listing('data/downloads/cub') == []
    # An archive that was there is not deleted, nor replaced.
    server.requests.clear()
    path = Path('data/downloads/cub/CUB_200_2011.tgz')
    path.write_bytes(server.files[path.name])
    code, _, err = main('cub')
    assert code == 2 and 'wrong checksum' in err and f'Move {path} away' in err
    assert path.exists() and server.requests == []


def test_a_malicious_archive(main, offer, server, tmp_path):
    """With the right checksum, as if the publisher were the attacker."""
    (tmp_path / 'x').touch()
    entries = {write_cub(tmp_path / 'evil'): 'CUB_200_2011', tmp_path / 'x': '../../evil.txt'}
    offer('cub', **{'CUB_200_2011.tgz': pack_tar(entries)})
    code, _, err = main('cub')
    assert code == 2 and '../../evil.txt' in err
    assert listing('data') == ['downloads']  # nothing half
    assert not list(tmp_path.rglob('evil.txt'))


def test_a_folder_of_the_user_is_not_touched_but_the_rest_of_a_killed_run_is(main, offer, server):
    offer('cub')
    root, half = Path('data/CUB_200_2011'), Path('data/.CUB_200_2011.unpacking')
    root.mkdir(parents=True)
    (root / 'thesis.txt').write_text('mine')
    code, _, err = main('cub')
    assert code == 2 and 'is no whole CUB-200-2011' in err and 'Move it away' in err
    assert listing(root) == ['thesis.txt'] and listing('data') == ['CUB_200_2011']
    assert server.requests == []
    (root / 'thesis.txt').unlink()  # empty: nothing is lost
    half.mkdir()
    (half / 'rest.txt').write_text('half')
    assert main('cub')[0] == 0
    assert listing('data') == ['CUB_200_2011'] and 'rest.txt' not in listing(root)


def test_archives_are_kept_on_request_and_when_they_were_there(main, offer, server):
    offer('flowers')
    archives = Path('data/downloads/flowers')
    archives.mkdir(parents=True)
    (archives / 'setid.mat').write_bytes(server.files['setid.mat'])
    assert main('flowers', '--root', 'data/one')[0] == 0
    assert listing(archives) == ['setid.mat']
    assert main('flowers', '--root', 'data/two', '--keep-archive')[0] == 0
    names = ['102flowers.tgz', 'imagelabels.mat', 'setid.mat']
    assert listing(archives) == names
    server.requests.clear()
    code, out, _ = main('flowers', '--root', 'other', '--archives', str(archives))
    assert code == 0 and f'kept in {archives}: {", ".join(names)}' in out
    assert server.requests == [] and listing(archives) == names
    assert out.splitlines()[-2:] == [
        'train: python tools/cache_boxes.py configs/dva_vit_flowers.py '
        '--detector type=AttentionBoxes --split all --out '
        'work_dirs/boxes/flowers102_all_attention.jsonl --cfg-options data_root=other',
        '       python tools/train.py configs/dva_vit_flowers.py --cfg-options data_root=other',
    ]


def test_a_data_set_that_only_a_person_can_fetch(main, offer, server):
    offer('nabirds')
    code, out, err = main('nabirds')
    archives = Path('data/downloads/nabirds')
    assert code == 2 and server.requests == []
    for text in ('Get nabirds.tar.gz from', 'dl.allaboutbirds.org', str(archives.absolute())):
        assert text in err
    archive, memory = archives / 'nabirds.tar.gz', archives / 'nabirds.tar.gz.sha256'
    archive.write_bytes(server.files['nabirds.tar.gz'])
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    # No checksum is published: the first one counts from now on.
    assert main('nabirds')[0] == 0
    assert memory.read_text() == f'{digest}  nabirds.tar.gz\n'
    code, out, _ = main('nabirds', '--root', 'data/again')
    assert code == 0 and f'verified nabirds.tar.gz: sha256:{digest}' in out
    archive.write_bytes(archive.read_bytes() + b'x')
    code, _, err = main('nabirds', '--root', 'data/third')
    assert code == 2 and f'expected sha256:{digest}' in err and memory.name in err


@pytest.mark.parametrize('damage', ['cut', 'of another data set'])
def test_the_checksum_of_a_damaged_archive_is_not_remembered(main, offer, server, damage, tmp_path):
    offer('nabirds')
    right = server.files['nabirds.tar.gz']
    wrong = right[: len(right) // 2]
    if damage != 'cut':
        (tmp_path / 'x').touch()
        wrong = pack_tar({tmp_path / 'x': Path('nabirds/x')})
    archive = Path('data/downloads/nabirds/nabirds.tar.gz')
    archive.parent.mkdir(parents=True)
    archive.write_bytes(wrong)
    code, _, err = main('nabirds')
    assert code == 2 and str(archive.parent) in err
    assert listing('data') == ['downloads'] and listing(archive.parent) == [archive.name]
    archive.write_bytes(right)
    assert main('nabirds')[0] == 0
    assert len(listing(archive.parent)) == 2


def test_exit_codes(main, tmp_path, monkeypatch):
    """Damage is always an error; flaws of the published data only where one asks for them."""
    monkeypatch.setitem(BENCHMARKS, 'cub', BENCHMARKS['cub']._replace(published=None))
    root = write_cub(tmp_path / 'cub')
    first, second, third = sorted((root / 'images' / '001.Class_1').iterdir())[:3]
    second.write_bytes(first.read_bytes())
    assert main('cub', '--root', str(root), '--check')[0] == 0  # on one side of both protocols
    last = root / 'images' / '006.Class_6' / '5.png'
    last.write_bytes(first.read_bytes())
    code, out, _ = main('cub', '--root', str(root), '--check')
    assert code == 1 and 'PROBLEM: equal images in train and test (open): 1' in out
    assert main('cub', '--root', str(root))[0] == 0
    assert main('cub', '--root', str(root), '--check', '--fast')[0] == 0
    third.unlink()
    code, out, _ = main('cub', '--root', str(root))
    assert code == 1 and f'Move {root} away and run this without --check' in out


def test_data_of_ones_own(main, tmp_path):
    folder = write_folder(tmp_path / 'folder', {'a': 3, 'b': 2})
    code, out, _ = main('folder', '--root', str(folder), '--check', '--workers', '1')
    assert code == 0 and out.endswith(f'found: 5 images of 2 classes in {folder}\n')
    table = tmp_path / 'table'
    table.mkdir()
    archives.write_csv(table)
    code, out, _ = main('csv', '--root', str(table), '--check')
    assert code == 0 and 'note: images without a box: 4' in out
    options = ['--check', '--root', str(folder)]
    for wrong in (
        ['folder'],
        ['folder', '--check'],
        ['folder', *options[1:]],
        ['horses', *options],
        ['demo_birds', *options],  # reading them draws them
        ['folder', *options, '--workers', '0'],
    ):
        with pytest.raises(SystemExit, match='2'):
            main(*wrong)


def test_a_check_and_a_report_that_cannot_be_written_download_nothing(main, offer, server):
    offer('cub')
    Path('file').touch()
    code, _, err = main('cub', '--check')
    assert code == 2 and 'CUB-200-2011 not found' in err
    for report in ('file/report.json', '.'):
        code, out, err = main('cub', '--report', report)
        assert code == 2 and f'--report {report}' in err and out == ''
    assert server.requests == [] and not Path('data').exists()


def test_files_with_a_checksum_may_come_from_any_mirror(main, offer):
    for name, anywhere in (('cars', True), ('inshop', False)):
        offer(name)
        code, _, err = main(name)
        assert code == 2 and ('its SHA-256 is checked' in err) == anywhere
