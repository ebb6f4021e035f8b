"""Ranked results as a picture."""

from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

from dva_mm.visualization import QUERY, RIGHT, WRONG, draw_ranking, rank


def test_rank_is_a_full_sort_without_the_query():
    embeddings = F.normalize(torch.randn(12, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    queries = [7, 0]
    for query, hits in zip(queries, rank(embeddings, queries, topk=4).tolist(), strict=True):
        others = [i for i in range(12) if i != query]
        by_hand = sorted(others, key=lambda i: -float(embeddings[query] @ embeddings[i]))
        assert hits == by_hand[:4]


def test_frames_tell_right_from_wrong(tmp_path: Path):
    paths = []
    for i in range(4):
        paths.append(str(tmp_path / f'{i}.png'))
        Image.new('RGB', (30, 20), (i, i, i)).save(paths[-1])
    hits = torch.tensor([[1, 2]])
    picture = draw_ranking(paths, [0, 0, 1, 1], [0], {'a': hits, 'b': hits.flip(1)}, tile=40)
    colours = [[picture.getpixel((x, y)) for x in range(picture.width)] for y in (1, 47)]
    seen = [list(dict.fromkeys(c for c in row if c != (255, 255, 255))) for row in colours]
    assert seen == [[QUERY, RIGHT, WRONG], [QUERY, WRONG, RIGHT]]
