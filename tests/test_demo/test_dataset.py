"""The demo's data set on disk."""

import json
import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import pytest

from dva_mm.demo import draw_demo
from dva_mm.demo.birds import draw_bird, make_species
from dva_mm.demo.dataset import LIGHT, MARKER, PLACES, SCALE, draw_once
from dva_mm.demo.scene import HABITATS
from dva_mm.demo.things import THINGS


def table(root: Path, name: str) -> list[list[str]]:
    return [line.split(' ') for line in (root / name).read_text().splitlines()]


@pytest.fixture(scope='module')
def birds(tmp_path_factory) -> Path:
    return draw_demo(tmp_path_factory.mktemp('demo') / 'birds', 2, 6)


def test_cub_layout(birds):
    images = table(birds, 'images.txt')
    numbers = [str(i) for i in range(1, 13)]
    assert [row[0] for row in images] == numbers
    assert sorted(path.relative_to(birds / 'images') for path in birds.rglob('*.jpg')) == sorted(
        Path(path) for _, path in images
    )
    classes = dict(table(birds, 'classes.txt'))
    assert list(classes) == ['1', '2']
    labels = table(birds, 'image_class_labels.txt')
    assert [row[0] for row in labels] == numbers
    for (_, path), (_, label) in zip(images, labels, strict=True):
        assert path.split('/')[0] == classes[label]
        assert classes[label].startswith(f'{int(label):03d}.')
    assert table(birds, 'train_test_split.txt') == [
        [number, flag] for number, flag in zip(numbers, '10' * 6, strict=True)
    ]


def test_boxes_and_pixels_are_those_of_the_drawing(birds):
    """Each picture, drawn again with its seed; the first of the two species has a home."""
    species = make_species(2)
    rows = zip(table(birds, 'images.txt'), table(birds, 'bounding_boxes.txt'), strict=True)
    for i, ((number, file), (boxed, *values)) in enumerate(rows):
        rng = np.random.default_rng((0, i // 6, i % 6))
        size = (int(rng.integers(160, 193)), int(rng.integers(128, 161)))
        home = i < 6 and rng.random() < 0.9
        habitat = HABITATS[0] if home else None
        numbers = rng.integers(64, size=4)
        if home:
            numbers[0] %= 4  # the first kind, in any of its variants
        things = [THINGS[number] for number in numbers]
        drawing = draw_bird(species[i // 6], rng, size, SCALE, habitat, LIGHT, things)
        assert number == boxed and [float(v) for v in values] == list(drawing.box)
        stored = cv2.imread(str(birds / 'images' / file))[..., ::-1]
        assert stored.shape == drawing.picture.shape
        assert np.abs(stored.astype(int) - drawing.picture).mean() < 8  # what JPEG takes away


def test_every_species_can_have_a_name_of_its_own():
    assert len(PLACES) == len(set(PLACES)) == 120


def test_drawn_once_and_equal_to_the_byte(birds, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in birds.rglob('*')}
    assert draw_demo(birds, 2, 6) == birds
    assert {path: path.stat().st_mtime_ns for path in birds.rglob('*')} == before
    again = draw_demo(tmp_path / 'again', 2, 6)
    for path in birds.rglob('*.*'):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(birds)).read_bytes()
    other = draw_demo(tmp_path / 'other', 2, 2, seed=1)
    name = table(other, 'images.txt')[0][1]
    assert (other / 'images' / name).read_bytes() != (birds / 'images' / name).read_bytes()


def test_other_settings_and_folders_of_another_origin_are_refused(birds, tmp_path):
    with pytest.raises(ValueError, match=f"'num_species': 2.*{birds}"):
        draw_demo(birds, 4, 6)
    notes = tmp_path / 'mine' / 'notes.txt'
    notes.parent.mkdir()
    notes.write_text('keep me')
    with pytest.raises(ValueError, match=str(notes.parent)):
        draw_demo(notes.parent, 2, 2)
    assert list(tmp_path.rglob('*')) == [notes.parent, notes]
    for count in (0, 121):
        with pytest.raises(ValueError, match=f'num_species.* {count}'):
            draw_demo(tmp_path / 'birds', count)
    with pytest.raises(ValueError, match='at_home.* 1.5'):
        draw_demo(tmp_path / 'birds', at_home=1.5)
    assert not (tmp_path / 'birds').exists()


def test_a_failure_leaves_nothing_behind_and_no_part_is_ever_seen(tmp_path, capsys):
    root = tmp_path / 'new' / 'set'

    def write(folder, numbers):
        for number in numbers:
            (folder / f'{number}.txt').touch()
            assert not root.exists()
            if number == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_once(root, 'test', 5, {}, write)
    assert list(root.parent.iterdir()) == []
    assert draw_once(root, 'test', 2, {}, write) == root
    assert '2/2' in capsys.readouterr().err
    assert sorted(path.name for path in root.iterdir()) == ['0.txt', '1.txt', MARKER]


def draw_together(root: Path, barrier) -> None:
    def write(folder, numbers):
        for number in numbers:
            (folder / f'{number}.txt').write_text(str(multiprocessing.current_process().pid))
        barrier.wait(60)  # each has seen that there is no set yet, and has drawn its own

    draw_once(root, 'test', 3, dict(seed=1), write)


def test_two_processes_share_the_first_ones_set(tmp_path):
    context = multiprocessing.get_context('fork')
    barrier = context.Barrier(2)
    pair = [
        context.Process(target=draw_together, args=(tmp_path / 'set', barrier)) for _ in range(2)
    ]
    for process in pair:
        process.start()
    for process in pair:
        process.join(60)
    assert [process.exitcode for process in pair] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    writers = {(tmp_path / 'set' / f'{number}.txt').read_text() for number in range(3)}
    assert len(writers) == 1 and json.loads((tmp_path / 'set' / MARKER).read_text())['seed'] == 1
