"""Grounding DINO: a tiny random one runs for real; what it says is judged on fixed outputs."""

import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from dva_mm.detection.sources.grounding_dino import GroundingDINO, best_boxes

needs_transformers = pytest.mark.skipif(
    find_spec('transformers') is None, reason='transformers is missing (extra detector)'
)
SIZES = [(40, 30), (60, 30), (30, 50), (40, 30)]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Image files of these sizes."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f'{index}.png' for index in range(len(SIZES))]
    for path, (width, height) in zip(paths, SIZES, strict=True):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return paths


def fixed_outputs() -> tuple[SimpleNamespace, torch.Tensor]:
    """Three images, two queries each, with boxes as centre and size."""
    scores = torch.tensor([[0.5, 0.8], [0.3, 0.2], [0.36, 0.1]])
    logits = torch.full((3, 2, 4), -9.0)
    logits[:, :, 2] = scores.logit()
    boxes = torch.tensor([0.5, 0.5, 1.0, 1.0]).repeat(3, 2, 1)
    boxes[0, 1] = torch.tensor([0.25, 0.5, 0.1, 0.2])
    boxes[2, 0] = torch.tensor([0.5, 0.1, 0.2, 0.1])
    return SimpleNamespace(logits=logits, pred_boxes=boxes), torch.zeros(3, 4, dtype=torch.long)


@needs_transformers
def test_the_surest_box_above_the_threshold_is_taken(dino_folder: Path):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(dino_folder)
    outputs, ids = fixed_outputs()
    first, second, third = best_boxes(processor, outputs, ids, SIZES[:3], 0.35, 0.25)
    assert first.box == pytest.approx((8, 12, 12, 18))  # 40 x 30 pixels
    assert first.score == pytest.approx(0.8)
    assert second is None
    assert third.box == pytest.approx((12, 2.5, 18, 7.5))  # 30 x 50 pixels
    assert third.score == pytest.approx(0.36)


@pytest.mark.parametrize('name', ['threshold', 'box_threshold'])
def test_both_names_of_the_threshold_are_known(name: str):
    asked = {}

    def new(outputs, input_ids=None, threshold=0.25, text_threshold=0.25, target_sizes=None):
        asked.update(least=threshold, text=text_threshold, sizes=target_sizes)
        return [dict(scores=torch.tensor([]), boxes=torch.zeros(0, 4))]

    def old(outputs, input_ids, box_threshold=0.25, text_threshold=0.25, target_sizes=None):
        return new(outputs, input_ids, box_threshold, text_threshold, target_sizes)

    processor = SimpleNamespace(
        post_process_grounded_object_detection=new if name == 'threshold' else old
    )
    assert best_boxes(processor, None, None, [(40, 30)], 0.4, 0.3) == [None]
    assert asked == dict(least=0.4, text=0.3, sizes=[(30, 40)])


@needs_transformers
def test_a_batch_gives_what_its_images_give_alone(dino_folder: Path, pictures: list[Path]):
    """Sizes are mixed, and two images share one; the order is the images'."""
    detector = GroundingDINO('a bird.', str(dino_folder), box_threshold=0.0)
    inputs, sizes = [detector.prepare(picture) for picture in pictures], SIZES
    together = detector.detect(inputs, sizes)
    assert len({found.box for found in together}) == len(pictures)
    for index, found in enumerate(together):
        (alone,) = detector.detect(inputs[index : index + 1], sizes[index : index + 1])
        assert found.box == pytest.approx(alone.box, abs=1e-3)
        assert found.score == pytest.approx(alone.score, abs=1e-5)
        x1, y1, x2, y2 = found.box
        assert x1 < x2 and y1 < y2 and x1 < sizes[index][0] and y1 < sizes[index][1]
        assert 0 < found.score <= 1
    assert detector.detect(inputs, sizes) == together  # no dropout


def test_prompts_of_another_form_thresholds_and_absent_models_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for prompt in ('a bird', 'A bird.', 'a bird. ', '', '.', ['a cat', 'a dog.']):
        with pytest.raises(ValueError, match='prompt'):
            GroundingDINO(prompt)
    for name, value in product(('box_threshold', 'text_threshold'), (-0.1, 1, 35, float('nan'))):
        with pytest.raises(ValueError, match=f'{name} .*{value}'):
            GroundingDINO('a bird.', **{name: value})
    if find_spec('transformers'):
        with pytest.raises(RuntimeError, match=tmp_path.name):
            GroundingDINO('a bird.', str(tmp_path))
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(ImportError, match=r'dva_mm\[detector\]'):
        GroundingDINO('a bird.')
