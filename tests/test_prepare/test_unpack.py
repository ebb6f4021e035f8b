"""Archives are unpacked into their folder, nowhere else, and not beyond a limit."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dva_mm.prepare import UnsafeArchiveError, unpack_archive

FILES = {'CUB/images/1.jpg': b'one', 'CUB/images/2.jpg': b'two', 'CUB/images.txt': b'1 1.jpg\n'}


def write_archive(path: Path, files: dict[str, bytes], *members: tarfile.TarInfo) -> Path:
    """A zip, tar or tar.gz file, by its name."""
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
            for name, content in files.items():
                file.writestr(name, content)
        return path
    with tarfile.open(path, 'w:gz' if path.name.endswith('gz') else 'w') as file:
        for member in members:
            file.addfile(member)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


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
def unchanged(tmp_path: Path, out: Path) -> Callable[[Callable], None]:
    """Run something; nothing outside of ``out`` has changed, and nothing came in."""

    def check(call: Callable) -> None:
        (tmp_path / 'secret').write_bytes(b'secret')
        inside = out.relative_to(tmp_path).as_posix() + '/'
        before = {n: c for n, c in contents(tmp_path).items() if not n.startswith(inside)}
        call()
        after = contents(tmp_path)
        assert {name: after[name] for name in after if not name.startswith(inside)} == before
        assert b'secret' not in [after[name] for name in after if name.startswith(inside)]

    return check


@pytest.mark.parametrize('name', ['a.zip', 'a.tar', 'a.tgz', 'a.tar.gz'])
def test_unpacks(tmp_path: Path, out: Path, name: str):
    archive = write_archive(tmp_path / name, FILES | {'large': os.urandom(3 << 20)})
    unpack_archive(archive, out)
    assert {name: content for name, content in contents(out).items() if name != 'large'} == FILES


@pytest.mark.parametrize('name', ['a.zip', 'a.tgz'])
def test_the_top_folder_becomes_the_folder(tmp_path: Path, out: Path, name: str):
    """CUB's archive has one file beside its top folder."""
    files = {f'./{n}': c for n, c in FILES.items()} | {'a.txt': b'a'}
    top = [] if name == 'a.zip' else [member('./CUB', tarfile.DIRTYPE)]
    unpack_archive(write_archive(tmp_path / name, files, *top), out, top='CUB')
    inside = {name.removeprefix('CUB/'): content for name, content in FILES.items()}
    assert contents(out) == inside | {'a.txt': b'a'}


@pytest.mark.parametrize('top', ['', 'CUB'])
def test_folders_of_a_zip_that_are_the_folder_itself(tmp_path: Path, out: Path, top: str):
    files = {'./': b'', 'CUB/': b'', 'CUB/images/': b'', **FILES}
    unpack_archive(write_archive(tmp_path / 'a.zip', files), out, top=top)
    assert contents(out) == {n.removeprefix(f'{top}/'): content for n, content in FILES.items()}


@pytest.mark.parametrize('kind', ['a.zip', 'a.tgz'])
@pytest.mark.parametrize('name', ['../evil', 'CUB/../../evil', '/evil', '..', 'CUB//x/../../../e'])
@pytest.mark.parametrize('top', ['', 'CUB'])
def test_paths_that_lead_out(tmp_path: Path, out: Path, unchanged, kind: str, name: str, top: str):
    name = f'{tmp_path}/evil' if name == '/evil' else name  # a place that a fault could write to
    archive = write_archive(tmp_path / kind, FILES | {name: b'evil'})
    refused = []

    def unpack() -> None:
        try:
            unpack_archive(archive, out, top)
        except UnsafeArchiveError as error:
            assert str(archive) in str(error)
            refused.append(name)

    unchanged(unpack)
    assert refused or name != '..'  # no part is left to write to


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize('target', ['../../../../secret', '/etc/passwd', '../..'])
@pytest.mark.parametrize('top', ['', 'CUB'])
def test_links_that_lead_out(tmp_path: Path, out: Path, unchanged, kind, target: str, top: str):
    link = member('CUB/door', kind, target)
    archive = write_archive(tmp_path / 'a.tgz', FILES | {'CUB/door/evil': b'evil'}, link)

    def unpack() -> None:
        with pytest.raises(UnsafeArchiveError, match='door') as error:
            unpack_archive(archive, out, top)
        assert str(archive) in str(error.value)

    unchanged(unpack)


def test_devices_links_in_a_zip_and_permissions_are_not_taken_over(tmp_path: Path, out: Path):
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        archive = write_archive(tmp_path / 'a.tar', FILES, member('CUB/device', kind))
        with pytest.raises(UnsafeArchiveError, match='device'):
            unpack_archive(archive, out)
        assert contents(out) == {}
    info = zipfile.ZipInfo('link')
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as file:
        file.writestr(info, '/etc/passwd')
    unpack_archive(tmp_path / 'a.zip', out)
    assert not (out / 'link').is_symlink() and (out / 'link').read_text() == '/etc/passwd'
    info = tarfile.TarInfo('tool')
    info.mode = 0o4777
    unpack_archive(write_archive(tmp_path / 'a.tar', {}, info), out)
    assert os.stat(out / 'tool').st_mode & 0o7022 == 0


@pytest.mark.parametrize('name', ['a.zip', 'a.tgz'])
def test_a_bomb_by_ratio(tmp_path: Path, out: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    archive = write_archive(tmp_path / name, {'zeros': bytes(6 << 20)})
    assert archive.stat().st_size < 10_000
    unpack_archive(archive, out / 'small archives may pack well')
    monkeypatch.setattr('dva_mm.prepare.unpack._SLACK', 1 << 20)
    with pytest.raises(UnsafeArchiveError) as error:
        unpack_archive(archive, out / 'bomb')
    assert str(archive) in str(error.value) and contents(out / 'bomb') == {}
    unpack_archive(archive, out / 'allowed', max_ratio=1e6)


def test_sparse_files_count_with_their_holes(tmp_path: Path, out: Path):
    """A terabyte of holes takes no room in an archive."""
    info = tarfile.TarInfo('holes')
    size = 1 << 40
    info.pax_headers = {'GNU.sparse.major': '0', 'GNU.sparse.minor': '1'}
    info.pax_headers |= {'GNU.sparse.size': str(size), 'GNU.sparse.map': f'0,0,{size},0'}
    with tarfile.open(tmp_path / 'a.tar', 'w', format=tarfile.PAX_FORMAT) as file:
        file.addfile(info)
    with pytest.raises(UnsafeArchiveError):
        unpack_archive(tmp_path / 'a.tar', out)


@pytest.mark.parametrize('name', ['a.zip', 'a.tar', 'a.tgz'])
def test_a_limit_of_bytes(tmp_path: Path, out: Path, name: str):
    archive, size = write_archive(tmp_path / name, FILES), sum(map(len, FILES.values()))
    with pytest.raises(UnsafeArchiveError, match=f'{size - 1} bytes'):
        unpack_archive(archive, out, max_bytes=size - 1)
    unpack_archive(archive, out / 'again', max_bytes=size)


@pytest.mark.parametrize('name', ['a.zip', 'a.tar', 'a.tgz'])
@pytest.mark.parametrize('damage', ['cut', 'flipped', 'text'])
def test_damaged_archives(tmp_path: Path, out: Path, name: str, damage: str):
    archive = write_archive(tmp_path / name, {'a': os.urandom(50_000), 'b': b'b'})
    data = bytearray(archive.read_bytes())
    # The contents in a tar file have no checksum.
    part = slice(0, 400) if name == 'a.tar' else slice(20_000, 20_100)
    if damage == 'flipped':
        data[part] = bytes(byte ^ 255 for byte in data[part])
    archive.write_bytes({'cut': data[:30_000], 'flipped': data, 'text': b'<html>Sorry'}[damage])
    with pytest.raises(ValueError) as error:
        unpack_archive(archive, out)
    assert str(archive) in str(error.value)


def test_the_checksum_at_the_end_of_gzip_is_compared_and_filters_are_needed(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    data = write_archive(tmp_path / 'a.tar', FILES).read_bytes()
    (tmp_path / 'a.tgz').write_bytes(gzip.compress(data)[:-8] + bytes(8))
    with pytest.raises(ValueError, match='a.tgz'):
        unpack_archive(tmp_path / 'a.tgz', out)
    monkeypatch.delattr(tarfile, 'data_filter')
    with pytest.raises(RuntimeError, match='3.11.4'):
        unpack_archive(tmp_path / 'a.tar', out)
