"""Objects before other backgrounds, against a naive twin."""

import pytest
import torch

from dva_mm.models import swap_backgrounds

BOXES = [(2, 1, 6, 5), (-3, 2, 3, 6), (-5, 2, 3, 6), (0, 0, 8, 8), (3, 3, 3, 7), (9, 9, 12, 12)]


def naive(image, box, scene):
    """Pixel by pixel; the image itself where less than half of the box is inside."""
    x1, y1, x2, y2 = box
    inside = [(x, y) for x in range(8) for y in range(8) if x1 <= x < x2 and y1 <= y < y2]
    if not inside or 2 * len(inside) < (x2 - x1) * (y2 - y1):
        return image
    pasted = scene.clone()
    for x, y in inside:
        pasted[:, y, x] = image[:, y, x]
    return pasted


def test_the_object_stands_before_another_images_background():
    images = torch.rand(len(BOXES), 3, 8, 8)
    scene = -torch.rand(1, 3, 8, 8)
    swapped = swap_backgrounds(images, torch.tensor(BOXES, dtype=torch.float32), scene, 1.0)
    want = [naive(image, box, scene[0]) for image, box in zip(images, BOXES, strict=True)]
    assert torch.equal(swapped, torch.stack(want))
    changed = [not torch.equal(one, other) for one, other in zip(swapped, images, strict=True)]
    assert changed == [True, True, False, False, False, False]


def test_images_and_scenes_are_drawn():
    torch.manual_seed(0)
    images, scenes = torch.ones(2000, 3, 4, 4), torch.zeros(4, 3, 4, 4)
    scenes += torch.arange(4).view(4, 1, 1, 1) / 10
    boxes = torch.tensor([[1.0, 1.0, 3.0, 3.0]]).repeat(2000, 1)
    corners = swap_backgrounds(images, boxes, scenes, 0.4)[:, 0, 0, 0]
    shares = [(corners == value).float().mean() for value in torch.arange(4) / 10]
    assert (corners == 1).float().mean() == pytest.approx(0.6, abs=0.05)
    assert shares == pytest.approx([0.1] * 4, abs=0.03)
    assert torch.equal(swap_backgrounds(images, boxes, scenes, 0.0), images)
    assert torch.equal(swap_backgrounds(images, boxes, scenes[:0], 1.0), images)
