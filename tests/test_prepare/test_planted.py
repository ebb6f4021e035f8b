"""Objects pasted into scenes: the choices, the pixels, and the data set."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dva_mm.datasets import FineGrainedDataset
from dva_mm.datasets.record import Record
from dva_mm.prepare import Knobs, paste, plan_pictures
from dva_mm.prepare.plant_command import main

OBJECTS = [Record(f'{label}/{i}.png', label, None, None) for label in range(6) for i in range(20)]
SCENES = [f'{place}/{i}.png' for place in range(4) for i in range(10)]


def plans(**knobs) -> list:
    return plan_pictures(OBJECTS, 'abcdef', SCENES, Knobs(classes=4, **knobs))


def scenes_of(found: list, label: str) -> set[str]:
    return {plan.scene for plan in found if plan.label == label}


def test_correlation_ties_training_scenes_to_classes_and_never_test_scenes():
    free, tied, half = (plans(correlation=value) for value in (0.0, 1.0, 0.5))
    assert not scenes_of(tied, 'a') & scenes_of(tied, 'b')
    assert scenes_of(free, 'a') & scenes_of(free, 'b')
    own = {scene for scene in SCENES[::2] if scene[0] in '01'}
    share = np.mean([plan.scene in own for plan in half if plan.label == 'a'])
    assert 0.5 < share < 1
    tests = [[plan for plan in found if not plan.is_train] for found in (free, tied)]
    assert tests[0] == tests[1] and {plan.label for plan in tests[0]} == {'c', 'd'}
    seen = {plan.scene for plan in free if plan.is_train}
    assert not seen & {plan.scene for plan in tests[0]}


def test_distractors_are_of_classes_that_are_not_planted():
    found = plans(distractors=2)
    labels = {record.label for plan in found for record in plan.others}
    assert labels == {4, 5} and {len(plan.others) for plan in found} == {2}
    with pytest.raises(ValueError, match='distractors'):
        plan_pictures(OBJECTS, 'abcdef', SCENES, Knobs(classes=6, distractors=1))


@pytest.mark.parametrize(
    'knobs', [dict(size=(0.5, 0.4)), dict(correlation=1.5), dict(place='left'), dict(side=8)]
)
def test_a_knob_out_of_range_is_named(knobs: dict):
    with pytest.raises(ValueError, match=next(iter(knobs))):
        Knobs(classes=4, **knobs)


def test_a_soft_edge_fades_and_keeps_the_middle():
    scene = np.zeros((40, 40, 3), np.uint8)
    paste(scene, np.full((30, 30, 3), 200, np.uint8), 5, 5, soft=True)
    assert scene[20, 20, 0] == 200 and 0 < scene[5, 20, 0] < scene[6, 20, 0] < 200
    assert not scene[:5].any() and not scene[:, 35:].any()


def test_the_set_has_true_boxes_and_is_the_same_each_time(tmp_path: Path, capsys):
    for kind, count, colour in (('objects', 5, 250), ('scenes', 2, 20)):
        for label in range(count):
            for i in range(4):
                file = tmp_path / kind / f'{label}' / f'{i}.png'
                file.parent.mkdir(parents=True, exist_ok=True)
                shape = (30, 20, 3) if kind == 'objects' else (64, 80, 3)
                cv2.imwrite(str(file), np.full(shape, colour, np.uint8))
    command = [str(tmp_path / 'objects'), str(tmp_path / 'scenes'), '--classes', '4']
    command += ['--size', '0.3', '0.5', '--out']
    for name in ('one', 'two'):
        main([*command, str(tmp_path / name), '--sheet', str(tmp_path / 'sheet.png')])
    files = sorted(path.relative_to(tmp_path / 'one') for path in (tmp_path / 'one').rglob('*.*'))
    assert len(files) == 16 + 2
    for file in files:
        assert (tmp_path / 'one' / file).read_bytes() == (tmp_path / 'two' / file).read_bytes()
    train = FineGrainedDataset(str(tmp_path / 'one'), reader='csv', split='train')
    test = FineGrainedDataset(str(tmp_path / 'one'), reader='csv', split='test')
    assert train.metainfo['classes'] == ('0', '1') and test.metainfo['classes'] == ('2', '3')
    for item in (side.get_data_info(i) for side in (train, test) for i in range(8)):
        image = cv2.imread(item['img_path'])
        ys, xs = np.nonzero(image[..., 0] > 130)
        found = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        np.testing.assert_allclose(item['box'], found, atol=1)
        assert 0.28 <= (item['box'][3] - item['box'][1]) / 64 <= 0.52
    assert (tmp_path / 'sheet.png').is_file()
    with pytest.raises(ValueError, match='correlation'):
        main([*command, str(tmp_path / 'one'), '--correlation', '1'])
