"""Sources are chosen by their registered names; mistakes get the nearest one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from mmpretrain.registry import TASK_UTILS
from PIL import Image

from dva_mm.datasets.box_file import read_box_file
from dva_mm.detection.cache import cache_boxes
from dva_mm.detection.source import BoxSource, Detection, build_source, find_source


@pytest.fixture
def left_half() -> Iterator[type[BoxSource]]:
    """A source of someone else's: one class, registered."""

    @TASK_UTILS.register_module()
    class LeftHalf:
        source = 'left-half'

        def __init__(self, share: float, encoder: dict, device: str = 'cpu') -> None:
            self.options = dict(share=share)
            self.encoder, self.device = encoder, device

        def prepare(self, path: Path) -> str:
            return path.name

        def detect(
            self, inputs: Sequence[str], sizes: Sequence[tuple[int, int]]
        ) -> list[Detection | None]:
            share = self.options['share']
            return [Detection((0, 0, width * share, height), 0.5) for width, height in sizes]

    yield LeftHalf
    TASK_UTILS.module_dict.pop('LeftHalf')


def test_a_new_source_is_one_registered_class(left_half, tmp_path: Path):
    detector = dict(type='LeftHalf', share=0.5)
    assert find_source(detector) is left_half
    source = build_source(detector, encoder=dict(type='FrozenViT'), records=[], device='cuda:1')
    assert (source.encoder, source.device) == (dict(type='FrozenViT'), 'cuda:1')
    assert build_source({**detector, 'encoder': 'mine'}, encoder='theirs').encoder == 'mine'
    Image.new('RGB', (20, 10)).save(tmp_path / 'a.png')
    assert cache_boxes(source, tmp_path, [tmp_path / 'a.png'], tmp_path / 'x.jsonl')
    header, entries = read_box_file(tmp_path / 'x.jsonl')
    assert (header['source'], header['options']) == ('left-half', dict(share=0.5))
    assert entries['a.png'].box == (0, 0, 10, 10)


@pytest.mark.parametrize(
    ('detector', 'named'),
    [
        (dict(type='PatchPca'), 'PatchPca.*PatchPCA'),
        (dict(type='LeftHalv', share=1), 'LeftHalv.*LeftHalf'),
        (dict(keep=0.5), 'None.*AnnotationBoxes.*PatchPCA'),
        (dict(type='MaxIoUAssigner'), 'MaxIoUAssigner'),
        (dict(type='PatchPCA', kep=0.5), 'kep.*keep'),
        (dict(type='PatchPCA', block=1), 'block.*keep or img_size'),
        (dict(type='AnnotationBoxes', keep=1), 'AnnotationBoxes .*keep'),
        (dict(type='GroundingDINO'), 'GroundingDINO .*prompt'),
        (dict(type='LeftHalf'), 'LeftHalf .*share'),
    ],
)
def test_a_mistake_is_told_with_the_nearest_name(left_half, detector: dict, named: str):
    with pytest.raises(ValueError, match=named):
        build_source(detector, encoder={}, data_preprocessor={}, records=[], device='cpu')
