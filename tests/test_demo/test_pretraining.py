"""What re-creates the demo's encoder: its pictures, and the one command."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from safetensors.torch import load_file

from dva_mm import config_path
from dva_mm.demo.birds import Species, make_species
from dva_mm.demo.pretraining import draw_tagged
from dva_mm.demo.pretraining.__main__ import main
from dva_mm.demo.pretraining.datasets import TASKS
from dva_mm.demo.pretraining.parts import REGIONS, TRAITS, draw_part, random_bird

PLAIN = Species('rust', 'rust', 'none', 'cone', 'square', 'plain')


def shapes(path) -> dict:
    return {name: tensor.shape for name, tensor in load_file(path).items()}


def test_the_command_trains_both_stages_and_publishes_a_backbone_like_the_shipped(tmp_path, capsys):
    out = tmp_path / 'new' / 'vit.safetensors'
    where = ['--work-dir', str(tmp_path / 'runs'), '--data-root', str(tmp_path / 'data')]
    main(['--smoke', '--out', str(out), *where])
    assert shapes(out) == shapes(
        Path(config_path('dva_demo.py')).parent / 'demo/vit_micro.safetensors'
    )
    log = next((tmp_path / 'runs' / 'large').rglob('*.log')).read_text()
    assert f'{tmp_path / "runs" / "small" / "epoch_2.pth"}' in log  # the second goes on from it
    with pytest.raises(SystemExit):
        main(['--smoke', *where])
    assert '--out' in capsys.readouterr().err
    with pytest.raises(ValueError, match='--out .*/proc/vit.safetensors'):
        main(['--out', '/proc/vit.safetensors'])


def test_a_close_up_names_the_traits_that_it_shows():
    """A trait that is named changes more pixels than one that is not."""
    changed = {True: [], False: []}
    for seed in range(30):
        picture, shown = draw_part(PLAIN, np.random.default_rng(seed), 80, 0.3)
        assert picture.shape == (80, 80, 3) and shown
        assert set(shown) in [set().union(*s) for s in subsets(REGIONS.values())]
        for trait, kinds in TRAITS.items():
            other = replace(PLAIN, **{trait: kinds[-1]})
            again, _ = draw_part(other, np.random.default_rng(seed), 80, 0.3)
            changed[trait in shown].append((picture != again).any(axis=2).mean())
    assert np.mean(changed[True]) > 1.5 * np.mean(changed[False])


def subsets(groups) -> list:
    groups = list(groups)
    return [s for n in range(1, len(groups) + 1) for s in combinations(groups, n)]


def test_close_ups_are_of_birds_of_no_demo_species():
    rng, species = np.random.default_rng(0), set(make_species(120))
    birds = [random_bird(rng, species) for _ in range(500)]
    assert not species & set(birds)
    for trait, kinds in TRAITS.items():
        assert {getattr(bird, trait) for bird in birds} == set(kinds)
    assert random_bird(np.random.default_rng(1), {random_bird(np.random.default_rng(1), ())}) != (
        random_bird(np.random.default_rng(1), ())
    )


def test_the_labelled_pictures_draw_themselves(tmp_path):
    number_of_birds = 0
    for split, count in dict(train=156, val=4).items():
        dataset = DATASETS.build(
            dict(
                type='DemoTagged',
                data_root=str(tmp_path / 'set'),
                ann_file=f'{split}.json',
                count=160,
                pipeline=[],
            )
        )
        assert len(dataset) == count
        for number in range(count):
            labels = dataset[number]['gt_label']
            assert all(0 <= label < len(TASKS[task]) for task, label in labels.items())
            assert (set(labels) == {'thing', 'sky', 'season'}) == (number % 2 == 0)
            number_of_birds += labels.get('thing') == TASKS['thing'].index('songbird')
    assert number_of_birds == 40
    with pytest.raises(ValueError, match=f"'count': 160.*{tmp_path / 'set'}"):
        draw_tagged(tmp_path / 'set', 161)
