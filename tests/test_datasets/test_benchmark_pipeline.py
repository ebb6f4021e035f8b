"""tools/benchmark_pipeline.py, on a few tiny images."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from tiny_data import write_config, write_cub

SCRIPT = Path(__file__).resolve().parents[2] / 'tools' / 'benchmark_pipeline.py'


@pytest.fixture(scope='module')
def script() -> Iterator[SimpleNamespace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        yield SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    before = cv2.getNumThreads(), torch.get_num_threads()
    yield
    cv2.setNumThreads(before[0])
    torch.set_num_threads(before[1])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    base = write_config(tmp_path / 'base.py', tmp_path / 'cub', tmp_path / 'none.safetensors')
    path = tmp_path / 'tiny.py'
    path.write_text(
        f"_base_ = '{base.name}'\n"
        "opa = dict(type='OPA', original=[dict(type='Resize', scale=(32, 32))])\n"
        "pack = dict(type='PackInputs', algorithm_keys=('has_background',))\n"
        "steps = [dict(type='LoadImage'), opa, pack]\n"
        'train_dataloader = dict(dataset=dict(pipeline=steps))\n'
    )
    return path


def rows(text: str) -> list[tuple[str, list[float]]]:
    """The lines of the table: title and figures."""
    found = re.findall(r'^(.{44}) +([\d.]+) +([\d.]+) +([\d.]+)$', text, flags=re.MULTILINE)
    return [(title.strip(), [float(value) for value in values]) for title, *values in found]


def test_drawn_images_of_each_size_are_timed(script, config, tmp_path, capsys):
    other = tmp_path / 'one_view.py'
    other.write_text(
        "_base_ = 'tiny.py'\n"
        "load = dict(type='LoadImage', reduce=dict(min_edge=32, object_size=32))\n"
        "steps = [load, dict(type='CenterCrop', crop_size=32), dict(type='PackInputs')]\n"
        'train_dataloader = dict(dataset=dict(pipeline=steps))\n'
    )
    script.main(
        [str(config), '--compare-config', str(other), '--size', '64x48', '48x64']
        + ['--images', '2', '--repeats', '1']
    )
    text = capsys.readouterr().out
    assert '2 images drawn, 64 x 48: 0.00 megapixels' in text
    assert '2 images drawn, 48 x 64' in text
    ours = ['1 LoadImage', '2 OPA', '3 PackInputs', '4 collate', 'all but loading']
    theirs = ['1 LoadImage', '2 CenterCrop', '3 PackInputs', '4 collate', 'all but loading']
    titles = [title for title, _ in rows(text)]
    assert titles == 2 * ['decoding alone', str(config)[-44:], *ours, str(other)[-44:], *theirs]
    assert [values[2] for title, values in rows(text) if title == 'decoding alone'] == [1, 1]


def test_the_configs_own_images_come_first(script, config, tmp_path, capsys):
    write_cub(tmp_path / 'cub', num_classes=4, images_per_class=3)
    script.main([str(config), '--images', '5', '--repeats', '1'])
    text = capsys.readouterr().out
    assert '5 images of the data set' in text and 'drawn' not in text
    script.main([str(config), '--images', '50', '--repeats', '1'])
    assert '6 images of the data set' in capsys.readouterr().out  # one half of the classes trains


def test_kept_images_and_torchvision_stand_beside(script, config, tmp_path, capsys):
    options = ['--images', '2', '--repeats', '1', '--kept', '40', '--torchvision']
    write_cub(tmp_path / 'cub', num_classes=4, images_per_class=3)
    script.main([str(config), *options])
    found = rows(capsys.readouterr().out)
    titles = [title for title, _ in found]
    for title in ('torchvision v2, three views', f'{config}, kept at 40'[-44:]):
        assert title in titles
    assert titles.count('all but loading') == 3
    assert titles.count('1 LoadImage') == titles.count('1 ImageCache') == 1


def test_torchvisions_views_are_three_of_one_size(script, tmp_path):
    view, costs = script.Torchvision(), {}
    for sample in script.draw_samples(tmp_path, (120, 90), 2):
        for box in (sample['box'], None):
            view.run({**sample, 'box': box}, costs)
    assert [tuple(views.shape) for views in view.batch] == [(3, 3, 224, 224)] * 4
    object_view, background = view.batch[0][1:]
    assert (background == 127).any() and not (object_view == 127).all()
    view.finish(costs)
    assert set(costs) == {'1 Pillow', '2 views', '3 collate'}


def test_figures_are_medians_of_the_repeats(script, capsys):
    pipeline = SimpleNamespace(title='mine', loading=1)
    parts = [(2.0, 1.0, 0.5), (4.0, 8.0, 2.0), (3.0, 3.0, 9.0)]
    costs = [dict(zip(('1 Load', '2 Crop', '3 collate'), values, strict=True)) for values in parts]
    script.report(10, [1.0, 2.0, 4.0], [pipeline], [costs])
    # images/s and ms of the median time, and the median of the ratios of each repeat
    assert rows(capsys.readouterr().out) == [
        ('decoding alone', [5, 200, 1]),
        ('mine', [1, 1400, 3.75]),
        ('1 Load', [3, 300, 2]),
        ('2 Crop', [3, 300, 1]),
        ('3 collate', [5, 200, 1]),
        ('all but loading', [1, 1000, 3]),
    ]


def test_drawn_images_are_jpegs_with_a_box(script, tmp_path):
    samples = script.draw_samples(tmp_path, (120, 90), 3)
    pictures = [cv2.imread(sample['img_path']) for sample in samples]
    assert [picture.shape for picture in pictures] == [(90, 120, 3)] * 3
    assert not np.array_equal(pictures[0], pictures[1])
    for sample in samples:
        x1, y1, x2, y2 = sample['box']
        assert 0 <= x1 < x2 <= 120 and 0 <= y1 < y2 <= 90
    again = script.draw_samples(tmp_path / '.', (120, 90), 3)
    np.testing.assert_array_equal(cv2.imread(again[2]['img_path']), pictures[2])


def test_senseless_arguments_and_a_config_without_a_pipeline_are_refused(script, config, capsys):
    for option, value, named in (
        ('--size', '500', "'500'"),
        ('--size', '0x5', "'0x5'"),
        ('--images', '0', 'image'),
        ('--repeats', '0', 'repeat'),
    ):
        with pytest.raises(SystemExit):
            script.main([str(config), option, value])
        assert named in capsys.readouterr().err
    with pytest.raises(ValueError, match='tiny.py.*pipeline'):
        script.main([str(config), '--cfg-options', 'train_dataloader.dataset.pipeline=[]'])
