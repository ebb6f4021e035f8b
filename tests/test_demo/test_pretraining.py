"""What re-creates the demo's encoder: its pictures, and the one command."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from safetensors.torch import load_file

from dva_mm import config_path
from dva_mm.demo.birds import Species, make_species
from dva_mm.demo.pretraining import draw_objects, draw_parts
from dva_mm.demo.pretraining.__main__ import main
from dva_mm.demo.pretraining.objects import OBJECTS, draw_object
from dva_mm.demo.pretraining.parts import PARTS, draw_part, random_bird

PLAIN = Species('plain', 'none', 'cone', 'square', 'plain')


def shapes(path) -> dict:
    return {name: tensor.shape for name, tensor in load_file(path).items()}


def test_the_command_trains_both_stages_and_publishes_a_backbone_like_the_shipped(tmp_path, capsys):
    out = tmp_path / 'new' / 'vit.safetensors'
    where = ['--work-dir', str(tmp_path / 'runs'), '--data-root', str(tmp_path / 'data')]
    main(['--smoke', '--out', str(out), *where])
    assert shapes(out) == shapes(
        Path(config_path('dva_demo.py')).parent / 'demo/vit_micro.safetensors'
    )
    log = next((tmp_path / 'runs' / 'parts').rglob('*.log')).read_text()
    assert f'{tmp_path / "runs" / "objects" / "epoch_2.pth"}' in log  # the second goes on from it
    with pytest.raises(SystemExit):
        main(['--smoke', *where])
    assert '--out' in capsys.readouterr().err
    with pytest.raises(ValueError, match='--out .*/proc/vit.safetensors'):
        main(['--out', '/proc/vit.safetensors'])


def test_objects_are_64_classes_that_differ_and_repeat():
    assert len(OBJECTS) == len(set(OBJECTS)) == 64
    pictures = {}
    for kind, variant in OBJECTS:
        picture, again = (
            draw_object(kind, variant, np.random.default_rng(5), (96, 80)) for _ in range(2)
        )
        assert picture.shape == (80, 96, 3) and np.array_equal(picture, again)
        for other in pictures.setdefault(kind, []):
            assert (picture != other).any(), (kind, variant)
        pictures[kind].append(picture)


@pytest.mark.parametrize(
    ('region', 'change', 'other'),
    [('head', dict(beak='hook'), 'tail'), ('tail', dict(tail='fan'), 'head')],
)
def test_a_close_up_shows_its_region_more_than_the_far_end(region, change, other):
    def changed(shown: str) -> float:
        pairs = [
            [draw_part(shown, b, np.random.default_rng(seed), 80) for b in (PLAIN, bird)]
            for seed in range(6)
        ]
        assert pairs[0][0].shape == (80, 80, 3)
        return float(np.mean([(one != two).any(axis=2).mean() for one, two in pairs]))

    bird = replace(PLAIN, **change)
    assert changed(region) > changed(other)


def test_parts_come_from_birds_of_no_demo_species():
    rng, species = np.random.default_rng(0), set(make_species(30))
    assert len(PARTS) == 36
    for _, fixed in PARTS:
        for _ in range(100):
            bird = random_bird(rng, fixed, species)
            assert bird not in species and all(getattr(bird, k) == v for k, v in fixed.items())


@pytest.mark.parametrize(
    ('name', 'draw', 'classes'), [('DemoObjects', draw_objects, 64), ('DemoParts', draw_parts, 36)]
)
def test_data_sets_draw_themselves(tmp_path, name, draw, classes):
    for split in ('train', 'val'):
        options = dict(type=name, data_root=str(tmp_path / 'set'), data_prefix=split)
        dataset = DATASETS.build(dict(**options, images_per_class=2, pipeline=[]))
        assert len(dataset) == len(dataset.metainfo['classes']) == classes
    with pytest.raises(ValueError, match=f"'images_per_class': 2.*{tmp_path / 'set'}"):
        draw(tmp_path / 'set', images_per_class=3)
