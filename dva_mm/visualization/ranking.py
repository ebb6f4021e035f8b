"""Pictures of ranked results."""

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from dva_mm.datasets.image import read_image

RIGHT, WRONG, QUERY = (38, 160, 70), (208, 48, 48), (70, 70, 70)


def rank(embeddings: Tensor, queries: Sequence[int], topk: int) -> Tensor:
    """Indices of the images nearest to some of them by cosine, each query itself left out.

    Args:
        embeddings: Unit-norm, (N, C).
        queries: Indices of Q of them.
        topk: Number of hits, below N.

    Returns:
        (Q, topk), nearest first.

    >>> rank(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), queries=[0], topk=2)
    tensor([[2, 1]])
    """
    queries = torch.as_tensor(queries)
    similarity = embeddings[queries] @ embeddings.T  # (Q, N)
    similarity[torch.arange(len(queries)), queries] = -torch.inf
    return similarity.topk(topk, dim=1).indices


def draw_ranking(
    paths: Sequence[str],
    labels: Sequence[int],
    queries: Sequence[int],
    rankings: dict[str, Tensor],
    tile: int = 112,
    scores: dict[str, Sequence[Sequence[float]]] | None = None,
) -> Image.Image:
    """Queries at the left, their hits to the right; a green frame is right, a red one wrong.

    Args:
        paths: Image files of the gallery, N.
        labels: Their classes, N.
        queries: Indices of Q queries.
        rankings: Hits (Q, K) by title; each query gets one row a title, in this order.
        tile: Side of an image in pixels. Defaults to 112.
        scores: Of the hits, (Q, K) by title, written into their corners. Defaults to None.
    """
    gap, frame, title_width = 6, 4, 96
    columns = 1 + max(hits.shape[1] for hits in rankings.values())
    width = title_width + columns * (tile + gap) + 3 * gap
    height = len(queries) * (len(rankings) * (tile + gap) + gap)
    canvas = Image.new('RGB', (width, height), 'white')
    draw = ImageDraw.Draw(canvas)
    y = 0
    for number, query in enumerate(queries):
        for title, hits in rankings.items():
            draw.text((gap, y + tile // 2 - 6), title, fill='black')
            for column, index in enumerate([query, *hits[number].tolist()]):
                colour = RIGHT if labels[index] == labels[query] else WRONG
                x = title_width + column * (tile + gap) + 2 * gap * (column > 0)
                draw.rectangle((x, y, x + tile - 1, y + tile - 1), fill=colour if column else QUERY)
                inner = ImageOps.fit(_read(paths[index]), (tile - 2 * frame, tile - 2 * frame))
                canvas.paste(inner, (x + frame, y + frame))
                if scores and column:
                    text = f'{scores[title][number][column - 1]:.2f}'
                    corner = (x + frame, y + tile - frame - 14)
                    draw.rectangle((*corner, corner[0] + 29, corner[1] + 14), fill='white')
                    draw.text((corner[0] + 3, corner[1] + 1), text, fill='black')
            y += tile + gap
        y += gap
    return canvas


def _read(path: str) -> Image.Image:
    return Image.fromarray(read_image(path)[..., ::-1])
