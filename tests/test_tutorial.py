"""The tutorial's notebook, run from the first cell to the last by this Python."""

import json
import re
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip('nbformat', reason='nbclient is not installed')
nbclient = pytest.importorskip('nbclient', reason='nbclient is not installed')
pytest.importorskip('ipykernel', reason='ipykernel is not installed')
ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / 'docs' / 'tutorial.ipynb'


@pytest.fixture(scope='module')
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope='module')
def executed(tmp_path_factory: pytest.TempPathFactory):
    """The notebook after a run that trains 2 of its 6 epochs, on 96 of 192 drawn pictures."""
    short = NOTEBOOK.read_text()
    for old, new in (
        ('max_epochs=6, val_interval=6', 'max_epochs=2, val_interval=2'),
        ('_6.pth', '_2.pth'),
    ):
        assert short.count(old) == 1
        short = short.replace(old, new)
    folder = tmp_path_factory.mktemp('tutorial')
    kernel = folder / 'kernels' / 'python3' / 'kernel.json'
    kernel.parent.mkdir(parents=True)
    argv = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}']
    kernel.write_text(json.dumps(dict(argv=argv, display_name='this', language='python')))
    patch = pytest.MonkeyPatch()
    patch.setenv('JUPYTER_PATH', str(folder))  # before the kernels that are installed
    patch.setenv('OMP_NUM_THREADS', '1')
    patch.setenv('TMPDIR', str(folder))  # where the notebook makes its own folder
    patch.setenv('CUDA_VISIBLE_DEVICES', '')
    try:
        client = nbclient.NotebookClient(
            nbformat.reads(short, as_version=4),
            timeout=600,
            kernel_name='python3',
            resources={'metadata': {'path': str(folder)}},
        )
        return client.execute()
    finally:
        patch.undo()


def shown(notebook) -> str:
    """All text that the cells print."""
    outputs = [o for cell in notebook.cells if cell.cell_type == 'code' for o in cell.outputs]
    return ''.join(output.get('text', '') for output in outputs)


def test_the_tutorial_runs_and_its_own_recall_is_that_of_the_evaluation(executed):
    figures = re.compile(r'(frozen encoder|after training): Recall@1 ([\d.]+)')
    printed = dict(figures.findall(shown(executed)))
    assert printed.keys() == {'frozen encoder', 'after training'}
    own = re.findall(r'^Recall@1 ([\d.]+)$', shown(executed), re.M)
    assert own == [printed['after training']]


def kinds(cell) -> list:
    return [(output.output_type, sorted(output.get('data', {}))) for output in cell.outputs]


def test_what_is_committed_has_the_outputs_of_a_run(notebook, executed):
    """After a change of a cell: `jupyter execute --inplace docs/tutorial.ipynb`."""
    for old, new in zip(notebook.cells, executed.cells, strict=True):
        if new.cell_type == 'code':
            assert kinds(old) == kinds(new), new.source
    assert not re.search(r'/(home|root|tmp|Users)/', shown(notebook))  # no folder of a machine
    assert NOTEBOOK.stat().st_size < 300_000
