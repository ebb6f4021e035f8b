"""What is built from the checkout installs, inherits and trains in a folder of its own."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import modelindex.load_model_index
import pytest
import yaml

import dva_mm

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    'dva_mm configs tools README.md LICENSE MANIFEST.in model-index.yml pyproject.toml setup.cfg'
)

DOWNSTREAM = """\
_base_ = ['dva_mm::dva_demo.py']
print('dva_mm comes from', __import__('dva_mm').__file__)
data_root, reader = 'birds', 'cub'
train_cfg = dict(max_epochs=1)
"""


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: ``dist`` has an sdist and its wheel, ``direct`` a wheel of the checkout itself."""
    folder = tmp_path_factory.mktemp('built')
    checkout = folder / 'dva_mm'  # as git clone names it
    for name in SOURCES.split():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, symlinks=True)
        else:
            shutil.copy(source, checkout / name)
    for name in ('configs', 'tools'):  # what running these leaves behind must not be shipped
        cache = checkout / name / '__pycache__'
        cache.mkdir(exist_ok=True)
        (cache / 'left_behind.cpython-311.pyc').touch()
    (checkout / 'tests').mkdir()
    (checkout / 'tests' / '__init__.py').touch()
    (folder / 'poison').mkdir()
    (folder / 'poison' / 'torch.py').write_text("raise ImportError('building imports torch')")
    for step in (
        ['pip', 'wheel', '--no-deps', '--no-build-isolation', '-w', str(folder / 'direct'), '.'],
        ['build', '--no-isolation', '--outdir', str(folder / 'dist')],
    ):
        run([sys.executable, '-m', *step], cwd=checkout, PYTHONPATH=str(folder / 'poison'))
    return folder


def run(command: list[str], cwd: Path, **variables: str) -> str:
    """Run a command, fail with its output if it fails, and return that output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def shipped_files() -> dict[str, bytes]:
    """Path below ``.mim`` -> content, of every file that has to travel with the package."""
    files = [path for name in ('configs', 'tools') for path in (ROOT / name).rglob('*')]
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in [*files, ROOT / 'model-index.yml']
        if path.is_file() and path.parent.name != '__pycache__'
    }


def below_mim(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.split('.mim/')[1]: data for name, data in files.items() if '.mim/' in name}


@pytest.mark.parametrize('folder', ['dist', 'direct'])
def test_a_wheel_holds_configs_and_tools_and_no_more(built: Path, folder: str):
    (wheel,) = (built / folder).glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        files = {info.filename: archive.read(info) for info in members}
    assert not [m.filename for m in members if stat.S_ISLNK(m.external_attr >> 16)]
    assert below_mim(files) == shipped_files()
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'dva_mm').rglob('*.py')}
    left_out = {name for name in modules if name.startswith('dva_mm/demo/pretraining/')}
    assert modules - left_out <= files.keys()
    pages = [ROOT / 'dva_mm' / folder for folder in ('serve/page', 'visualization/templates')]
    parts = {path.relative_to(ROOT).as_posix() for folder in pages for path in folder.iterdir()}
    assert parts and parts <= files.keys()
    assert left_out and not any('pretraining' in name for name in files)
    tops = {PurePosixPath(name).parts[0] for name in files}
    assert tops == {'dva_mm', f'dva_mm-{dva_mm.__version__}.dist-info'}


def test_the_sdist_holds_files_where_the_checkout_has_links(built: Path):
    (sdist,) = built.glob('dist/*.tar.gz')
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
        assert all(member.isreg() for member in members)
        files = {member.name: archive.extractfile(member).read() for member in members}
    assert below_mim(files) == shipped_files()
    names = {*shipped_files(), 'dva_mm/demo/pretraining/configs/small.py'}
    assert {f'dva_mm-{dva_mm.__version__}/{name}' for name in names} <= files.keys()


def test_the_distributions_pass_twine_with_links_that_lead_out_of_the_index(built: Path):
    sys.path.insert(0, str(ROOT / '.github'))
    try:
        from absolute_links import absolute
    finally:
        sys.path.pop(0)
    pytest.importorskip('twine', reason='twine comes with the extra test')
    files = map(str, built.glob('dist/*'))
    run([sys.executable, '-m', 'twine', 'check', '--strict', *files], cwd=built)
    text = absolute((ROOT / 'README.md').read_text(), 'https://host/us/dva_mm', 'v9')
    targets = [target for target in re.findall(r'\]\(([^)]+)\)', text) if target[0] != '#']
    assert targets and all(target.startswith('https://') for target in targets)
    assert '![CI](https://host/us/dva_mm/actions/' in text
    assert '](https://host/us/dva_mm/raw/v9/docs/images/demo_ranked.png)' in text
    assert '](https://host/us/dva_mm/blob/v9/docs/search.md)' in text


def test_an_editable_install_works_beside_the_clone(built: Path, tmp_path: Path):
    # Without --ignore-installed pip would take this environment's own dva_mm away.
    pip = [sys.executable, '-m', 'pip', 'install', '--ignore-installed', '--no-deps']
    pip += ['--no-build-isolation', '--prefix', str(tmp_path)]
    run([*pip, '-e', str(built / 'dva_mm')], cwd=tmp_path)
    (site,) = tmp_path.glob('lib*/python*/site-packages')
    find = (
        f'import site; site.addsitedir({str(site)!r})\n'
        "from importlib.util import find_spec; print(find_spec('dva_mm').origin)"
    )
    # Without the environment's own packages, of which this one may be one.
    origin = run([sys.executable, '-S', '-c', find], cwd=built, PYTHONPATH='')
    assert Path(origin.strip()) == built / 'dva_mm' / 'dva_mm' / '__init__.py'
    assert (tmp_path / 'bin' / 'dva-mm').is_file()


def test_an_installed_package_is_inherited_from_trained_and_tested(built: Path, tmp_path: Path):
    (wheel,) = built.glob('dist/*.whl')
    site, project = tmp_path / 'site', tmp_path / 'project'
    project.mkdir()
    pip = [sys.executable, '-m', 'pip', 'install', '--no-index', '--no-deps', '--no-compile']
    run([*pip, '--target', str(site), str(wheel)], cwd=tmp_path)
    (project / 'mine.py').write_text(DOWNSTREAM)
    draw = "from dva_mm.demo import draw_demo; draw_demo('birds', 8, 4)"
    run([sys.executable, '-c', draw], project, PYTHONPATH=str(site))
    dva = [sys.executable, '-m', 'dva_mm']
    output = run([*dva, 'train', 'mine.py', '--work-dir', 'run'], project, PYTHONPATH=str(site))
    assert f'dva_mm comes from {site / "dva_mm" / "__init__.py"}' in output
    checkpoint = project / 'run' / 'epoch_1.pth'
    assert checkpoint.is_file(), output
    test = [*dva, 'test', 'mine.py', str(checkpoint), '--work-dir', 'tested']
    output = run(test, project, PYTHONPATH=str(site))
    assert 'recall@1' in output.lower()


def test_the_model_index_is_valid():
    index = modelindex.load_model_index.load(str(ROOT / 'model-index.yml'))
    assert index.models
    collections = {collection.name for collection in index.collections}
    assert {model.in_collection for model in index.models} <= collections
    assert not [model.config for model in index.models if not (ROOT / model.config).is_file()]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == dva_mm.__version__
    assert f'## [{dva_mm.__version__}]' in (ROOT / 'CHANGELOG.md').read_text()
