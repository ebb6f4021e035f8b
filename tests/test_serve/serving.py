"""A tiny index of pictures with known contents, and a real server of it in a thread."""

import io
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_data import write_config, write_cub, write_weights

from dva_mm.retrieval import Index, Retriever
from dva_mm.serve.limits import Limits

HOSTILE = '<img src=x onerror=alert(1)>'
LABELS = ('red', 'green', HOSTILE)
LIMITS = Limits(upload_bytes=300_000, pixels=1_000_000, rate=0, hits=50)
SIDE = 64


def texture(label: int, number: int) -> np.ndarray:
    """A noisy square in its label's colour, (64, 64, 3) uint8."""
    image = np.random.default_rng((label, number)).integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
    image[..., label] += 160
    image[8 * number : 8 * number + 8] //= 2
    return image


def write_textures(folder: Path, count: int = 5) -> Path:
    """``count`` pictures of each label, the last label's with hostile names."""
    for label, name in enumerate(LABELS):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            start = f'{number}{HOSTILE}' if name == HOSTILE else f'{number}'
            Image.fromarray(texture(label, number)).save(folder / name / f'{start}.png')
    return folder


def tiny_retriever(folder: Path) -> Retriever:
    root, weights = write_cub(folder / 'cub', 2, 2), write_weights(folder / 'vit.safetensors')
    return Retriever.load(write_config(folder / 'tiny.py', root, weights), device='cpu')


def build(folder: Path) -> Index:
    """An index of the textures in ``folder/photos``."""
    photos = write_textures(folder / 'photos')
    options = dict(labels='folder', workers=0)
    return Index.build(tiny_retriever(folder), photos, folder / 'photos.index', **options)


def pair() -> np.ndarray:
    """A picture of two objects that are in the index: red 1 at the left, green 2 at the right."""
    return np.concatenate([texture(0, 1), texture(1, 2)], axis=1)


def png(image: np.ndarray | Image.Image) -> bytes:
    content = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(content, 'PNG')
    return content.getvalue()


def bomb() -> bytes:
    """200 megapixels in 25 kB."""
    return png(Image.new('1', (20_000, 10_000)))


@contextmanager
def served(index: Index, limits: Limits = LIMITS):
    """Serve an index at 127.0.0.1; gives the address and the folder of uploads."""
    import uvicorn

    from dva_mm.serve import Catalogue, make_app
    from dva_mm.serve.app import private_uploads
    from dva_mm.serve.run import listen, names_of

    with private_uploads() as uploads, listen('127.0.0.1', 0) as listener:
        catalogue = Catalogue(index)
        app = make_app(catalogue, uploads, limits, HOSTILE, names_of('127.0.0.1'))
        config = uvicorn.Config(app, log_level='critical', timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield f'http://127.0.0.1:{listener.getsockname()[1]}', uploads
        server.should_exit = True
        thread.join(20)
