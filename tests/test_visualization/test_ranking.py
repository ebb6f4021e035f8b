"""Ranked results as a picture."""

from pathlib import Path

import numpy as np
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


def test_scores_stand_in_the_corners_of_hits(tmp_path: Path):
    Image.new('RGB', (30, 30), 'black').save(tmp_path / 'one.png')
    paths, hits = [str(tmp_path / 'one.png')] * 2, {'a': torch.tensor([[1]])}
    without, with_low, with_high = (
        np.asarray(draw_ranking(paths, [0, 0], [0], hits, tile=60, scores=scores))
        for scores in (None, {'a': [[0.25]]}, {'a': [[0.75]]})
    )
    changed = (without != with_low).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() > 30 and columns.min() > 96 + 60  # the lower part of the hit alone
    assert (with_low != with_high).any()


def test_images_are_shown_as_their_exif_orientation_says(tmp_path: Path):
    pixels = np.zeros((30, 30, 3), np.uint8)
    pixels[:15] = 250  # light at the top
    plain, turned = str(tmp_path / 'plain.jpg'), str(tmp_path / 'turned.jpg')
    Image.fromarray(pixels).save(plain)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: stored with the light at the left
    Image.fromarray(np.rot90(pixels)).save(turned, exif=exif)
    picture = draw_ranking([plain, turned], [0, 0], [0], {'a': torch.tensor([[1]])}, tile=40)
    tiles = np.asarray(picture.convert('L'), int)
    query, hit = tiles[4:36, 100:132], tiles[4:36, 158:190]
    assert query[:12].min() > 200 and query[20:].max() < 60
    assert np.abs(query - hit).mean() < 8
