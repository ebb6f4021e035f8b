"""What a visitor may ask: each method is an endpoint of the HTTP API, its docstring is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from dva_mm.visualization.thumbnails import thumbnail

from .catalogue import Catalogue
from .limits import Limits
from .looks import look_at, why_no_looks
from .pictures import cut_region, read_upload

LARGE, MAP = 960, 448
"""Longer sides of the pictures that are sent, in pixels."""


class Questions:
    """Answers to questions about an index; a visitor's mistake is a ``gradio.Error``.

    Args:
        catalogue: The index.
        limits: See :class:`~dva_mm.serve.Limits`.
        title: What the index is called.
    """

    def __init__(self, catalogue: Catalogue, limits: Limits, title: str) -> None:
        self.catalogue, self.limits, self.title = catalogue, limits, title

    def describe(self) -> dict:
        """What is searched: title, number of images, {label: number of images}, examples (id,
        name, label, picture), whether there are maps, and the limits."""
        catalogue = self.catalogue
        catalogue.refresh()
        return dict(
            title=self.title,
            images=len(catalogue.index),
            labels=catalogue.labels,
            examples=[self._shown(catalogue.item(number)) for number in catalogue.examples],
            no_looks=why_no_looks(catalogue.index.retriever),
            limits=self.limits._asdict(),
        )

    def show(self, picture: dict | None = None, item: int | None = None) -> dict:
        """An uploaded picture, or an image of the index by its id, as a data URI of at most 960
        pixels; with id, name and label of an image of the index."""
        with _mistakes():
            if item is None:
                pixels = self._open(picture, None)
                return dict(picture=thumbnail(pixels, LARGE), id=None, name=None, label=None)
            shown = self._shown(self.catalogue.item(item))
            return {**shown, 'picture': self.catalogue.picture(item, LARGE)}

    def search(
        self,
        picture: dict | None = None,
        item: int | None = None,
        box: list[float] | None = None,
        labels: list[str] | None = None,
        k: int = 24,
    ) -> dict:
        """The k images most like an uploaded picture, or like an image of the index by its id,
        which is left out itself. A box x1, y1, x2, y2 (shares of width and height, 0 to 1) searches
        the object in it alone; labels leave images with one of them. Returns {hits: [{rank, score,
        id, name, label, picture}]}."""
        with _mistakes():
            if type(k) is not int or not 1 <= k <= self.limits.hits:
                raise ValueError(f'k must be 1 to {self.limits.hits}, got {k!r}'[:200])
            texts = isinstance(labels, list) and all(isinstance(one, str) for one in labels)
            if labels is not None and not texts:
                raise ValueError(f'labels must be a list of texts, got {labels!r}'[:200])
            if item is not None and picture is None and box is None:
                query = self.catalogue.item(item).id
            else:
                query = cut_region(self._open(picture, item), box)
        self.catalogue.refresh()
        hits = self.catalogue.search(query, k, labels, item)
        return dict(hits=[self._shown(h, rank=h.rank, score=round(h.score, 6)) for h in hits])

    def look(
        self,
        hit: int,
        picture: dict | None = None,
        item: int | None = None,
        box: list[float] | None = None,
    ) -> dict:
        """Where the model looked in a query (see search) and in a hit by its id: what in each makes
        it like the other, as data URIs {query, hit}."""
        with _mistakes():
            if reason := why_no_looks(self.catalogue.index.retriever):
                raise ValueError(reason)
            query = cut_region(self._open(picture, item), box)
            other = self.catalogue.pixels(hit)
        with self.catalogue.lock:
            first, second = look_at(self.catalogue.index.retriever, query, other)
        return dict(query=thumbnail(first, MAP), hit=thumbnail(second, MAP))

    def _open(self, picture: Any, item: Any) -> np.ndarray:
        if (picture is None) == (item is None):
            raise ValueError('give a picture, or the id of an item')
        if item is not None:
            return self.catalogue.pixels(item)
        try:
            content = Path(picture['path']).read_bytes()  # an upload: the gate let no other pass
        except (OSError, TypeError, KeyError):
            raise ValueError('this upload is not here any more: choose the picture again') from None
        if len(content) > self.limits.upload_bytes:
            raise ValueError(f'at most {self.limits.upload_bytes / 1e6:g} MB are taken')
        return read_upload(content, self.limits.pixels)

    def _shown(self, item: Any, **more: Any) -> dict:
        picture = self.catalogue.small_picture(item.id)
        label = None if item.label is None else str(item.label)
        return dict(more, id=item.id, name=self.catalogue.name(item), label=label, picture=picture)


@contextmanager
def _mistakes() -> Iterator[None]:
    """Tell a visitor's mistake; of an error outside Gradio says no more than that there is one."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error
