"""Configs of a downstream folder inherit from the shipped ones as if these lay beside them."""

import tempfile
from pathlib import Path

import pytest
from mmengine.config import Config

from dva_mm import config
from dva_mm.config import config_path, load_config

SHIPPED = Path(__file__).parents[1] / 'configs'


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder with small configs of its own, in place of this package."""
    root = tmp_path / 'site' / 'dva_mm' / '.mim' / 'configs'
    write(root / '_base_' / 'runtime.py', "seed = 1\nhook = dict(type='A', every=2)\n")
    write(
        root / 'shipped.py',
        "_base_ = './_base_/runtime.py'\nmodel = dict(type='M', width=8, depth=2)\n"
        "demo = '{{ fileDirname }}/demo/x.safetensors'\n",
    )
    monkeypatch.setattr(config, '__file__', str(root.parents[1] / 'config.py'))
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / 'my project'


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
    return path


@pytest.mark.parametrize('base', ["'dva_mm::shipped.py'", "['dva_mm::shipped.py']"])
def test_a_shipped_base_equals_the_same_base_by_path(shipped: Path, project: Path, base: str):
    body = "model = dict(width=16)\nhook = dict(_delete_=True, type='B')\n"
    child = write(project / 'child.py', f'_base_ = {base}\n{body}')
    twin = write(project / 'twin.py', f'_base_ = {str(shipped / "shipped.py")!r}\n{body}')
    cfg = load_config(child)
    assert cfg.to_dict() == Config.fromfile(twin).to_dict()
    assert cfg.model == dict(type='M', width=16, depth=2)
    assert cfg.hook == dict(type='B')
    assert cfg.demo == f'{shipped.as_posix()}/demo/x.safetensors'
    assert cfg.filename == str(child)
    cfg = load_config('dva_mm::shipped.py')
    assert (cfg.filename, cfg.seed) == (str(shipped / 'shipped.py'), 1)


def test_bases_are_followed_through_other_folders(shipped: Path, project: Path):
    write(project / 'common' / 'data.py', "folder = '{{ fileDirname }}'\n")
    bases = ['dva_mm::shipped.py', './data.py', 'mmpretrain::_base_/schedules/imagenet_bs256.py']
    mid = f"_base_ = {bases}\nmid = '{{{{fileBasenameNoExtension}}}}'\n"
    write(project / 'common' / 'mid.py', mid)
    child = write(project / 'deep' / 'child.py', "_base_ = '../common/mid.py'\nseed = 2\n")
    cfg = load_config(str(child))
    assert cfg.auto_scale_lr.base_batch_size == 256
    assert cfg.folder == (project / 'common').as_posix()
    assert (cfg.mid, cfg.seed, cfg.model.width) == ('mid', 2, 8)


def test_variables_are_those_of_the_original_file_and_its_bases(shipped: Path, project: Path):
    child = write(
        project / 'child.py',
        "_base_ = 'dva_mm::shipped.py'\nwide = {{_base_.model.width}}\nmodel = _base_.model\n"
        "model.depth = 3\nnames = ['{{ fileDirname }}', '{{fileBasename}}', '{{ fileOther }}',"
        " '{{ fileBasenameNoExtension }}', '{{ fileExtname }}']\n",
    )
    cfg = load_config(child)
    assert cfg.names == [project.as_posix(), 'child.py', '{{ fileOther }}', 'child', '.py']
    assert (cfg.wide, cfg.model.depth) == (8, 3)
    assert cfg.model.get('_scope_') is None


def test_environment_variables_are_replaced_in_bases_and_fields(
    shipped: Path, project: Path, monkeypatch: pytest.MonkeyPatch
):
    child = write(
        project / 'child.py',
        "_base_ = '{{$DVA_MM_TEST_BASE:missing.py}}'\nseed = {{'$DVA_MM_TEST_SEED:5'}}\n",
    )
    monkeypatch.setenv('DVA_MM_TEST_BASE', 'dva_mm::shipped.py')
    cfg = load_config(child)
    assert (cfg.seed, cfg.model.width) == (5, 8)
    assert cfg.env_variables == {'DVA_MM_TEST_BASE': 'dva_mm::shipped.py'}


def test_a_dump_loads_without_this_package_and_the_text_shows_the_files(
    shipped: Path, project: Path
):
    body = "# été\n_base_ = 'dva_mm::shipped.py'  # here\nname = '{{ fileBasename }}'\n"
    child = write(project / 'child.py', body)
    cfg = load_config(child)
    cfg.dump(project / 'dump.py')
    assert Config.fromfile(project / 'dump.py').to_dict() == cfg.to_dict()
    text = cfg.text
    assert f'{child}\n{body}' in text
    assert f'{shipped / "shipped.py"}\n' in text
    assert tempfile.gettempdir() not in text.replace(str(project.parent), '')


def test_an_error_in_a_config_keeps_its_line(shipped: Path, project: Path):
    child = write(project / 'child.py', "# one\n_base_ = 'dva_mm::shipped.py'\n\nx = 1 / 0\n")
    with pytest.raises(ZeroDivisionError) as error:
        load_config(child)
    last = error.traceback[-1]
    assert (Path(last.path).name, last.lineno + 1) == ('child.py', 4)


def test_other_configs_load_as_mmengine_loads_them(
    shipped: Path, project: Path, monkeypatch: pytest.MonkeyPatch
):
    write(project / 'base.yml', 'a: 1\n')
    child = write(project / 'child.py', "_base_ = './base.yml'\nb = '{{ fileDirname }}'\n")
    write(project / 'expression.py', "_base_ = './base' + '.yml'\nb = 3\n")
    monkeypatch.chdir(project)
    cfg, twin = load_config('child.py'), Config.fromfile('child.py')
    assert (cfg.to_dict(), cfg.text, cfg.filename) == (twin.to_dict(), twin.text, 'child.py')
    assert load_config(child).b == project.as_posix()
    assert load_config('expression.py').to_dict() == dict(a=1, b=3)


@pytest.mark.parametrize(
    ('name', 'text', 'named'),
    [
        ('child.py', "_base_ = 'dva_mm::shiped.py'\n", 'dva_mm::shiped.py .*dva_mm::shipped.py'),
        ('child.py', "_base_ = ['dva_mm::shipped.py', './gone.py']\n", r'gone\.py.*child\.py'),
        ('child.py', "_base_ = './back.py'\n", r'child\.py.*back\.py.*child\.py'),
        ('child.yml', '_base_: dva_mm::shipped.py\n', r'child\.yml'),
        ('other.py', '', r'child\.py.*other'),
    ],
)
def test_a_mistake_is_named(shipped: Path, project: Path, name: str, text: str, named: str):
    write(project / 'back.py', "_base_ = './child.py'\n")
    write(project / name, text)
    name = name.replace('other', 'child')
    with pytest.raises((FileNotFoundError, ValueError), match=named):
        load_config(project / name)


def test_a_link_written_as_a_file_falls_back_to_the_checkout(shipped: Path):
    shipped.rename(shipped.parents[2] / 'configs')
    write(shipped, '../../configs')
    assert config_path('shipped.py') == str(shipped.parents[2] / 'configs' / 'shipped.py')


@pytest.mark.parametrize('path', sorted(SHIPPED.glob('*.py')), ids=lambda path: path.name)
def test_every_shipped_config_serves_as_a_base(path: Path, tmp_path: Path):
    child = write(tmp_path / 'child.py', f"_base_ = 'dva_mm::{path.name}'\n")
    assert load_config(child).to_dict() == Config.fromfile(path).to_dict()
    assert Path(config_path(path.name)).samefile(path)
