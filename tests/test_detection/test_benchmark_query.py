"""tools/benchmark_query.py on a tiny ViT."""

import json
from types import SimpleNamespace

import pytest
import torch
from tool_module import load_tool

TINY = ['--model=test_vit:32', '--rounds=2']


@pytest.fixture(scope='module')
def benchmark():
    return load_tool('benchmark_query')


def test_a_crop_holds_its_box_at_the_size_of_the_image(benchmark):
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[:, 2:6, 4:8] = 9
    assert torch.equal(benchmark.crop(image, (4.2, 1.9, 7.8, 6.0)), torch.full((1, 3, 8, 8), 9.0))
    assert benchmark.crop(image, (5, 5, 5, 5)).shape == (1, 3, 8, 8)  # an empty box, one pixel


def test_each_way_gets_its_row(benchmark, tmp_path, capsys):
    out = tmp_path / 'rows.jsonl'
    benchmark.main([*TINY, '--no-detector', '--json', str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    starts = [row['name'].split()[0].strip(',') for row in rows]
    assert starts == ['frozen', 'DVA', 'PatchPCA', 'AttentionBoxes']
    assert all(row['seconds'] > 0 and row['to_dva'] > 0 for row in rows)
    printed = capsys.readouterr().out
    assert all(row['name'] in printed for row in rows) and 'DINO' not in printed


def test_a_source_s_box_is_what_is_embedded(benchmark):
    ways = benchmark.make_ways('test_vit', 32, 'cpu', detector=False)
    whole = ways['frozen encoder, whole image']()
    for name in ('PatchPCA, then its crop', 'AttentionBoxes, then its crop'):
        assert not torch.equal(ways[name](), whole)


def test_the_detector_s_surest_box_is_embedded(benchmark, monkeypatch):
    transformers = pytest.importorskip('transformers')
    sizes = []

    class Detector(torch.nn.Module):
        def __init__(self, config):
            super().__init__()

        def forward(self, pixel_values, pixel_mask, input_ids):
            sizes.append((pixel_values.shape, input_ids.shape))
            logits = torch.tensor([[[-5.0, 0.0], [-5.0, 3.0]]])  # the second of two boxes
            boxes = torch.tensor([[[0.5, 0.5, 1, 1], [0.75, 0.25, 0.5, 0.5]]])
            return SimpleNamespace(logits=logits, pred_boxes=boxes)

    monkeypatch.setattr(transformers, 'GroundingDinoForObjectDetection', Detector)
    image = torch.randint(256, (3, 8, 8), dtype=torch.uint8)
    [embedding] = [benchmark.by_detector(lambda crop: (crop,), image, 'cpu')()]
    assert torch.equal(embedding, benchmark.crop(image, (4, 0, 7, 4)))
    assert sizes == [((1, 3, 800, 1066), (1, 5))]


@pytest.mark.parametrize('option', ['--rounds=0', '--model=test_vit'])
def test_options_that_measure_nothing_are_refused(benchmark, option, capsys):
    with pytest.raises(SystemExit):
        benchmark.main([*TINY, option])
    assert option.partition('=')[0].strip('-') in capsys.readouterr().err
