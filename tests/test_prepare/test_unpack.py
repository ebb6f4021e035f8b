import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from dva_mm.prepare import Limits, UnsafeArchiveError, unpack_archive

FILES = {'CUB/images/1.jpg': b'one', 'CUB/images/2.jpg': b'two', 'CUB/images.txt': b'1 1.jpg\n'}


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, 'w:gz' if path.name.endswith('gz') else 'w') as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for member in members:
            file.addfile(member)
    return path


def write_any(path: Path, files: dict[str, bytes]) -> Path:
    return (write_zip if path.suffix == '.zip' else write_tar)(path, files)


def member(name: str, kind: bytes, target: str = '') -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob('*') if not path.is_dir()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / 'deep' / 'er' / 'out'


@pytest.fixture
def refuses(tmp_path: Path, out: Path) -> Callable[..., None]:
    """Unpacking raises, and nothing outside of ``out`` has changed."""

    def refuse(archive: Path, match: str, **options: object) -> None:
        (tmp_path / 'secret').write_bytes(b'secret')
        inside = out.relative_to(tmp_path).as_posix() + '/'
        before = {n: c for n, c in contents(tmp_path).items() if not n.startswith(inside)}
        with pytest.raises(UnsafeArchiveError, match=match) as error:
            unpack_archive(archive, out, **options)
        assert str(archive) in str(error.value)
        after = contents(tmp_path)
        assert {name: after[name] for name in after if not name.startswith(inside)} == before
        assert b'secret' not in [after[name] for name in after if name.startswith(inside)]

    return refuse


@pytest.mark.parametrize('name', ['a.zip', 'a.tar', 'a.tgz', 'a.tar.gz'])
def test_unpacks(tmp_path, out, name):
    archive = write_any(tmp_path / name, FILES)
    assert unpack_archive(archive, out) == 3
    assert contents(out) == FILES


@pytest.mark.parametrize('name', ['a.zip', 'a.tgz'])
def test_top_folder_becomes_the_folder(tmp_path, out, name):
    """CUB's archive has one file beside its top folder."""
    archive = write_any(tmp_path / name, {f'./{n}': c for n, c in FILES.items()} | {'a.txt': b'a'})
    unpack_archive(archive, out, top='CUB')
    inside = {name.removeprefix('CUB/'): content for name, content in FILES.items()}
    assert contents(out) == inside | {'a.txt': b'a'}


def test_shutil_agrees(tmp_path, out):
    shutil.make_archive(str(tmp_path / 'made'), 'gztar', _write(tmp_path / 'made'))
    shutil.make_archive(str(tmp_path / 'made'), 'zip', tmp_path / 'made')
    for suffix in ('tar.gz', 'zip'):
        unpack_archive(tmp_path / f'made.{suffix}', out / suffix)
        assert contents(out / suffix) == contents(tmp_path / 'made') == FILES
        assert (out / suffix / 'empty').is_dir()


def _write(folder: Path) -> Path:
    (folder / 'empty').mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize('kind', ['a.zip', 'a.tar', 'a.tgz'])
@pytest.mark.parametrize(
    'name',
    [
        '../evil',
        'CUB/../../evil',
        '/evil',
        '..',
        'CUB\\..\\..\\evil',
        'C:/evil',
        'C:evil',
        '//host/share/evil',
    ],
)
def test_paths_that_lead_out(tmp_path, refuses, kind, name):
    name = f'{tmp_path}/evil' if name == '/evil' else name  # a place that a fault could write to
    refuses(write_any(tmp_path / kind, FILES | {name: b'evil'}), 'leads out of the folder')


def test_the_top_folder_hides_no_way_out(tmp_path, refuses):
    archive = write_tar(tmp_path / 'a.tgz', {'CUB/../../evil': b'evil'})
    refuses(archive, 'leads out', top='CUB')
    refuses(write_tar(tmp_path / 'b.tgz', {'CUB//etc/../../x': b'evil'}), 'leads out', top='CUB')


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize('target', ['../../../secret', '/etc/passwd', '..', 'C:\\x'])
def test_links_that_lead_out(tmp_path, refuses, kind, target):
    archive = write_tar(tmp_path / 'a.tgz', FILES, member('CUB/link', kind, target))
    refuses(archive, 'leads out of the folder')


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize('target', ['nothing', 'images', 'CUB/images'])
def test_links_to_nothing_or_a_folder(tmp_path, refuses, kind, target):
    archive = write_tar(tmp_path / 'a.tgz', FILES, member('CUB/link', kind, target))
    refuses(archive, 'which is no file before it')


def test_a_file_through_a_linked_folder(tmp_path, refuses):
    """The classic: a link to a folder outside, then a file 'in' it."""
    link = member('door', tarfile.SYMTYPE, str(tmp_path))
    with tarfile.open(tmp_path / 'a.tar', 'w') as file:
        file.addfile(link)
        info = tarfile.TarInfo('door/evil')
        info.size = 4
        file.addfile(info, io.BytesIO(b'evil'))
    refuses(tmp_path / 'a.tar', 'leads out')


def test_links_inside_become_copies(tmp_path, out):
    archive = write_tar(
        tmp_path / 'a.tgz',
        FILES,
        member('CUB/hard', tarfile.LNKTYPE, 'CUB/images/1.jpg'),
        member('CUB/images/soft', tarfile.SYMTYPE, '2.jpg'),
    )
    unpack_archive(archive, out, top='CUB')
    assert (out / 'hard').read_bytes() == b'one'
    assert (out / 'images' / 'soft').read_bytes() == b'two'
    assert not (out / 'images' / 'soft').is_symlink()
    assert (out / 'hard').stat().st_nlink == 1


def test_links_in_a_zip(tmp_path, refuses):
    info = zipfile.ZipInfo('link')
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as file:
        file.writestr(info, '/etc/passwd')
    refuses(tmp_path / 'a.zip', 'is a link or special file')


@pytest.mark.parametrize('kind', [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b'Z'])
def test_devices(tmp_path, refuses, kind):
    archive = write_tar(tmp_path / 'a.tar', FILES, member('CUB/device', kind))
    refuses(archive, "'CUB/device' is a device or special file")


def test_sparse_files(tmp_path, refuses):
    """A terabyte of holes takes no room in an archive."""
    info = tarfile.TarInfo('holes')
    info.pax_headers = {
        'GNU.sparse.major': '0',
        'GNU.sparse.minor': '1',
        'GNU.sparse.size': str(1 << 40),
        'GNU.sparse.map': f'0,0,{1 << 40},0',
    }
    with tarfile.open(tmp_path / 'a.tar', 'w', format=tarfile.PAX_FORMAT) as file:
        file.addfile(info)
    refuses(tmp_path / 'a.tar', 'special file')


@pytest.fixture
def no_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bombs that go off early."""
    monkeypatch.setattr('dva_mm.prepare.unpack._SLACK', 1 << 20)


def test_a_small_archive_may_pack_well(tmp_path, out):
    assert unpack_archive(write_zip(tmp_path / 'a.zip', {'table': bytes(2 << 20)}), out) == 1


@pytest.mark.usefixtures('no_slack')
@pytest.mark.parametrize('name', ['a.zip', 'a.tgz'])
def test_a_bomb_by_ratio(tmp_path, refuses, out, name):
    archive = write_any(tmp_path / name, {'zeros': bytes(6 << 20)})
    assert archive.stat().st_size < 10_000
    refuses(archive, 'unpacks to more than')
    assert contents(out) == {}
    assert unpack_archive(archive, out, limits=Limits(ratio=1e6)) == 1


@pytest.mark.parametrize('name', ['a.zip', 'a.tar', 'a.tgz'])
def test_limits(tmp_path, refuses, out, name):
    archive = write_any(tmp_path / name, FILES)
    size = sum(map(len, FILES.values()))
    refuses(archive, 'more than 2 entries', limits=Limits(files=2))
    shutil.rmtree(out)
    refuses(archive, f'more than {size - 1} bytes', limits=Limits(total=size - 1))
    shutil.rmtree(out)
    assert unpack_archive(archive, out, limits=Limits(total=size, files=3)) == 3


def test_copies_of_links_count(tmp_path, refuses):
    links = [member(f'{i}', tarfile.LNKTYPE, 'big') for i in range(3)]
    archive = write_tar(tmp_path / 'a.tar', {'big': bytes(1000)}, *links)
    refuses(archive, 'more than 3,999 bytes', limits=Limits(total=3999))
    assert unpack_archive(archive, tmp_path / 'other', limits=Limits(total=4000)) == 4


@pytest.mark.parametrize('before', [[], ['folder'], ['file']])
def test_a_bomb_in_the_headers(tmp_path, refuses, before):
    """Within every limit on what is written."""
    info = tarfile.TarInfo('a')
    info.pax_headers = {'comment': ' ' * (3 << 20)}
    with tarfile.open(tmp_path / 'a.tgz', 'w:gz', format=tarfile.PAX_FORMAT, compresslevel=1) as f:
        for name in before:
            f.addfile(member(name, tarfile.DIRTYPE if name == 'folder' else tarfile.REGTYPE))
        f.addfile(info)
    refuses(tmp_path / 'a.tgz', 'a header of more than 1,048,576 bytes')


def test_a_bomb_of_headers_without_a_file(tmp_path, refuses):
    headers = [member('a', tarfile.XHDTYPE) for _ in range(4000)]
    archive = write_tar(tmp_path / 'a.tgz', {}, *headers)
    with pytest.raises(ValueError, match=r'a\.tgz is (not safe to unpack|damaged)'):
        unpack_archive(archive, tmp_path / 'out')


@pytest.mark.parametrize('size', [10 << 10, 3 << 20])
def test_large_files_are_no_headers(tmp_path, out, size):
    files = {'a': os.urandom(size), 'b': b'b', 'c': os.urandom(size)}
    unpack_archive(write_tar(tmp_path / 'a.tar', files, member('d', tarfile.DIRTYPE)), out)
    assert contents(out) == files


@pytest.mark.usefixtures('no_slack')
def test_a_bomb_behind_the_last_entry(tmp_path, refuses):
    archive = write_tar(tmp_path / 'a.tar', {'a': b'a'})
    packed = gzip.compress(archive.read_bytes() + bytes(6 << 20))
    (tmp_path / 'a.tgz').write_bytes(packed)
    refuses(tmp_path / 'a.tgz', 'far more than its entries say', limits=Limits(total=1 << 10))


@pytest.mark.parametrize('name', ['a.zip', 'a.tgz'])
def test_twice_the_same_file(tmp_path, refuses, name):
    archive = write_any(tmp_path / name, FILES | {'CUB//images.txt': b'other'})
    refuses(archive, 'is there already')
    archive = write_any(tmp_path / name, FILES | {'CUB/images.txt/x': b'other'})
    shutil.rmtree(tmp_path / 'deep')
    refuses(archive, 'is there already')


def test_what_is_there_stays(tmp_path, refuses, out):
    archive = write_tar(tmp_path / 'a.tgz', FILES)
    (out / 'CUB').mkdir(parents=True)
    (out / 'CUB' / 'images.txt').write_bytes(b'mine')
    refuses(archive, 'is there already')
    assert (out / 'CUB' / 'images.txt').read_bytes() == b'mine'
    (out / 'CUB' / 'images.txt').unlink()
    (out / 'CUB' / 'images.txt').symlink_to(tmp_path / 'outside')
    shutil.rmtree(out / 'CUB' / 'images')
    with pytest.raises(UnsafeArchiveError, match='is there already'):
        unpack_archive(archive, out)
    assert not (tmp_path / 'outside').exists()


def test_no_permissions_are_taken_over(tmp_path, out):
    info = tarfile.TarInfo('tool')
    info.mode = 0o4777
    unpack_archive(write_tar(tmp_path / 'a.tar', {}, info), out)
    assert os.stat(out / 'tool').st_mode & 0o7111 == 0


def test_no_room(tmp_path, out, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(100, 90, 10))
    with pytest.raises(OSError, match='10 bytes are free'):
        unpack_archive(write_tar(tmp_path / 'a.tgz', FILES), out)


@pytest.mark.parametrize('name', ['a.zip', 'a.tar', 'a.tgz'])
@pytest.mark.parametrize('damage', ['cut', 'flipped', 'text'])
def test_damaged_archives(tmp_path, out, name, damage):
    content = os.urandom(50_000)
    archive = write_any(tmp_path / name, {'a': content, 'b': b'b'})
    data = bytearray(archive.read_bytes())
    if damage == 'flipped' and name == 'a.tar':
        data[:400] = bytes(byte ^ 255 for byte in data[:400])  # contents have no checksum
    elif damage == 'flipped':
        data[20_000:20_100] = bytes(byte ^ 255 for byte in data[20_000:20_100])
    archive.write_bytes({'cut': data[:30_000], 'flipped': data, 'text': b'<html>Sorry'}[damage])
    with pytest.raises(ValueError, match='is damaged or no zip'):
        unpack_archive(archive, out)
