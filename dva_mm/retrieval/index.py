"""Index: images by their embeddings, which answers which of them are most like a given one."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist

from dva_mm.evaluation.rerank import check_rerank

from . import groups
from .change import Change, change, folder_entries, image_entries
from .faiss_store import FaissStore, need_faiss
from .folder import FolderStorage
from .images import as_images
from .items import Item, absolute
from .milvus_rows import is_milvus
from .milvus_store import MilvusStorage
from .queries import Hit, embed_queries, hits, rank
from .retriever import Retriever
from .state import new_state


class Index:
    """Images by their embeddings. :meth:`build` makes one, :meth:`open` reads one.

    It lies in a folder (``index.json``, ``items.sqlite`` and the vectors as faiss files), where a
    change appears as a whole, or in a Milvus database. One process writes at a time; readers go on
    meanwhile, and :meth:`refresh` shows them the change.

    Args:
        location: A folder, ``'milvus:FILE.db'`` (Milvus Lite, in this process) or
            ``'http://HOST:19530'`` (a Milvus server), with ``#NAME`` for another collection.
        retriever: Embeds queries and new images; loaded when first needed if it is None.
        mmap: Map a folder's vectors into memory instead of reading them, for indexes larger than
            the memory. Defaults to False.

    Raises:
        FileNotFoundError: If there is no index.
        ValueError: If a file of it is damaged, or it was made with another model than the
            retriever's.

    >>> import tempfile
    >>> pictures = [np.full((64, 64, 3), value, np.uint8) for value in (0, 90, 255)]
    >>> retriever = Retriever.load('dva_mm::dva_demo.py', device='cpu')
    >>> index = Index.build(retriever, pictures, tempfile.mkdtemp(), labels=list('abc'), workers=0)
    >>> index.search(pictures[1], k=1)[0].label
    'b'
    """

    def __init__(
        self, location: str | Path, retriever: Retriever | None = None, mmap: bool = False
    ) -> None:
        need_faiss()
        self.storage = _kind(location)(location, mmap)
        self._retriever = retriever
        self.load_options: dict[str, Any] = {}  # of Retriever.load, when the model is needed
        self.augmented: dict[tuple, FaissStore] = {}  # of rerank DBA
        self.last_change: Change | None = None
        if retriever is not None:
            self._check_model(retriever)

    @classmethod
    def build(
        cls,
        retriever: Retriever,
        images: Any,
        out: str | Path,
        factory: str | None = None,
        flip: bool = False,
        labels: Any = None,
        **options: Any,
    ) -> 'Index':
        """Make an index of images, or finish one that was interrupted.

        Args:
            retriever: Embeds the images.
            images: A folder (with all below it), or what :meth:`Retriever.encode` takes.
            out: The new index's location; see :class:`Index`. One that is there already, of the
                same model and factory, gets what it lacks.
            factory: faiss's string of an approximate index, such as 'IVF4096,PQ64'; in Milvus, its
                index type and options, such as 'HNSW,M=16'. Defaults to None: exact.
            flip: Average each embedding, of queries too, with the mirrored image's. Defaults to
                False.
            labels: Of a folder, see :meth:`sync`; of other images, see :meth:`add`. Defaults to
                None.
            **options: See :meth:`add`.

        Raises:
            ValueError: If ``out`` is an index of another model, factory or flip, or something else.
            IndexBusyError: If another process is writing to it.
        """
        need_faiss()
        asked = dict(dims=retriever.dims, factory=factory, flip=flip)
        _kind(out).check(retriever.dims, factory)  # it fails before any long work
        together = options.get('distributed', False)
        if not together or dist.get_rank() == 0:
            _kind(out).create(out, new_state(retriever, factory, flip, labels))
        if together:
            dist.barrier()
        index = cls(out, retriever)
        for name, value in asked.items():
            if index.state[name] != value:
                raise ValueError(
                    f'{out} was made with {name}={index.state[name]!r}, asked for is {value!r}; '
                    'build into another place'
                )
        is_folder = isinstance(images, str | Path) and Path(images).expanduser().is_dir()
        (index.sync if is_folder else index.add)(images, labels=labels, **options)
        return index

    @classmethod
    def open(
        cls, location: str | Path, retriever: Retriever | None = None, mmap: bool = False
    ) -> 'Index':
        """Read an index; see the class."""
        return cls(location, retriever, mmap)

    def refresh(self) -> bool:
        """Show the newest state; returns whether another process has changed it."""
        return self.storage.refresh()

    def close(self) -> None:
        """Close its files."""
        self.storage.close()

    def __enter__(self) -> 'Index':
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.storage)

    def __repr__(self) -> str:
        kind = self.state['factory'] or 'exact'
        return f'Index({str(self.storage)!r}, {len(self):,} images, {self.dims} values, {kind})'

    @property
    def state(self) -> dict[str, Any]:
        """What it was made with: dims, factory, flip, fingerprint, model, ..."""
        return self.storage.state

    @property
    def dims(self) -> int:
        """Width D of the vectors."""
        return self.state['dims']

    @property
    def flip(self) -> bool:
        """Whether embeddings are averaged with the mirrored image's."""
        return self.state['flip']

    @property
    def retriever(self) -> Retriever:
        """The model; loaded from where the index was made with if none was given."""
        if self._retriever is None:
            self.use(Retriever.load(**self.state['model'], **self.load_options))
        return self._retriever

    def use(self, retriever: Retriever) -> None:
        """Embed with this retriever from now on.

        Raises:
            ValueError: If it is of another model than the index.
        """
        self._check_model(retriever)
        self._retriever = retriever

    def _check_model(self, retriever: Retriever) -> None:
        if retriever.fingerprint != self.state['fingerprint']:
            raise ValueError(
                f'{self.storage} was made with another model ({self.state["model"]}, fingerprint '
                f'{self.state["fingerprint"]}) than {retriever.name or "the one given"} '
                f'({retriever.fingerprint}): their embeddings do not compare. Load that model, or '
                'build another index'
            )

    def add(
        self,
        images: Any,
        labels: Sequence[str] | None = None,
        metadata: Sequence[dict] | None = None,
        **options: Any,
    ) -> Change | None:
        """Add images. A file that is there as it is now is left alone; a changed one is replaced.

        A replaced file keeps the label and metadata that are not given, and gets another id. So
        does one that is there with another label or metadata.

        Args:
            images: What :meth:`Retriever.encode` takes, but for data sets.
            labels: A class name for each image. Defaults to None.
            metadata: A dict of JSON values for each image. Defaults to None.
            **options: ``batch_size`` and ``workers``, see :meth:`Retriever.encode`;
                ``distributed=True`` where all processes of torch.distributed call it together:
                each embeds its part, the first one commits.

        Raises:
            ValueError: If labels or metadata are not as many as the images, or no JSON.
            IndexBusyError: If another process is writing.
        """
        images = as_images(images)
        total = len(images) if hasattr(images, '__len__') else None
        entries = image_entries(images, total, labels, metadata)
        self.last_change = change(self, entries, total, **options)
        return self.last_change

    def sync(
        self,
        folder: str | Path,
        labels: Callable[[str], str | None] | str | None = None,
        **options: Any,
    ) -> Change | None:
        """Make the index agree with a folder: embed what is new or changed, drop what vanished.

        Args:
            folder: Items below it that are no longer there are removed; others are left alone.
            labels: 'folder' takes the name of each image's folder; a function takes its path.
                Defaults to None: as the index was built, else no labels.
            **options: See :meth:`add`.

        Raises:
            FileNotFoundError: If the folder does not exist.
            IndexBusyError: If another process is writing.
        """
        root = absolute(folder)
        entries, total = folder_entries(root, labels or self.state['labels'])
        self.last_change = change(self, entries, total, root, **options)
        return self.last_change

    def remove(
        self,
        ids: Sequence[int] = (),
        paths: Sequence[str | Path] = (),
        where: dict[str, Any] | None = None,
    ) -> int:
        """Remove items by id, by path, or by their values; returns how many.

        Args:
            ids: Of the items; unknown ones are passed over.
            paths: Of the items; unknown ones are passed over.
            where: See :meth:`search`. Defaults to None.
        """
        ids = [ids] if isinstance(ids, int | np.integer) else ids
        paths = [paths] if isinstance(paths, str | bytes | PathLike) else paths
        _check_where(where)
        with self.storage.writing():
            gone = set(self.storage.items(list(map(int, ids))))
            if paths:
                files = self.storage.files()
                gone |= {files[path][0] for path in map(absolute, paths) if path in files}
            if where:
                gone |= set(self.storage.select(where))
            if gone:
                self.storage.commit([], sorted(gone))
            return len(gone)

    def search(
        self,
        queries: Any,
        k: int | None = 10,
        where: dict[str, Any] | None = None,
        exclude_self: bool = False,
        min_score: float | None = None,
        exact: bool = False,
        nprobe: int | None = None,
        rerank: dict[str, Any] | None = None,
    ) -> list[Hit] | list[list[Hit]]:
        """The images most like each query, the nearest first.

        Args:
            queries: One query or a list: a path, PIL image, array (H, W, 3) RGB uint8, the id (int)
                of an item; or embeddings, an array (Q, D) of floats.
            k: Hits a query; fewer where there are not so many. None: all of at least
                ``min_score``, exactly. Defaults to 10.
            where: Search only items with these values, exactly: ``dict(label='rose')``, a list for
                one of several, or a key of the metadata. Defaults to None: all.
            exclude_self: Leave out the item of the query's own file or id. Defaults to False.
            min_score: Leave out hits with a lower score. Defaults to None.
            exact: Search exactly though the index has an approximate one. Defaults to False.
            nprobe: Lists of an IVF index to look into: more is slower and finds more.
            rerank: Rank better: ``dict(type='AQE', n=10, alpha=3)``, ``dict(type='DBA', n=10,
                alpha=3)`` or ``dict(type='KReciprocal', k1=20, k2=6, weight=0.3,
                candidates=100)``; see :mod:`dva_mm.evaluation.rerank`. Defaults to None.

        Returns:
            Hits of one query, or a list of hits for each query of a list or array.

        Raises:
            ValueError: If ``k`` is not positive, an option of ``rerank`` is unknown, a query cannot
                be read or has another width.
        """
        if k is None and (min_score is None or rerank is not None):
            raise ValueError('k=None takes all hits of at least min_score, without rerank')
        if k is not None and (not isinstance(k, int | np.integer) or k < 1):
            raise ValueError(f'k must be a positive integer, got {k!r}')
        _check_where(where)
        rerank = check_rerank(rerank)
        asked = embed_queries(self, queries, exclude_self)
        options = dict(where=where, exact=exact, nprobe=nprobe)
        if k is None:
            found = self.storage.search_range(asked.vectors, min_score, where)
        else:
            found = rank(self, asked, k, rerank, options)
        answers = [
            hits(self.storage, scores, ids, k, own, min_score)
            for (scores, ids), own in zip(found, asked.own, strict=True)
        ]
        return answers[0] if asked.single else answers

    def check(self, sample: int = 100, k: int = 10, nprobe: int | None = None) -> dict[str, float]:
        """Recall and time beside exact search; see :func:`~.groups.measure_recall`."""
        return groups.measure_recall(self.storage, sample, k, nprobe)

    def duplicates(self, threshold: float = 0.98) -> list[list[Item]]:
        """Groups of images linked by a cosine of at least ``threshold``, the largest first."""
        return self._items(groups.duplicate_groups(groups.all_vectors(self.storage), threshold))

    def cluster(self, k: int, seed: int = 0) -> list[list[Item]]:
        """Sort all images into ``k`` clusters, the largest first; see :func:`~.groups.clusters`."""
        store = groups.all_vectors(self.storage)
        return self._items(groups.clusters(store.ids, store.vectors(store.ids), k, seed))

    def _items(self, found: list[list[int]]) -> list[list[Item]]:
        items = self.storage.items([number for group in found for number in group])
        return [[items[number] for number in group] for group in found]


def _check_where(where: Any) -> None:
    if where is not None and not isinstance(where, dict):
        raise ValueError(f"where takes values by name, such as dict(label='rose'), got {where!r}")


def _kind(location: str | Path) -> type[FolderStorage] | type[MilvusStorage]:
    return MilvusStorage if is_milvus(location) else FolderStorage
