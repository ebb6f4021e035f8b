"""Index: images by their embeddings, which answers which of them are most like a given one."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist

from . import groups
from .change import Change, change, remove
from .entries import folder_entries, image_entries
from .faiss_store import need_faiss
from .images import as_images
from .items import Item, absolute
from .queries import Hit, check_nprobe, search
from .retriever import Retriever
from .state import new_state
from .stored import StoredIndex, storage_kind


class Index(StoredIndex):
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
        storage_kind(out).check(retriever.dims, factory)  # it fails before any long work
        together = options.get('distributed', False)
        if not together or dist.get_rank() == 0:
            storage_kind(out).create(out, new_state(retriever, factory, flip, labels))
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
            **options: ``batch_size``, ``workers`` and ``progress``, see :meth:`Retriever.encode`;
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

        A file that was moved below the folder, or renamed, keeps its embedding, id and metadata,
        see :func:`~.moved.match_moved`.

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
            paths: Of the items, or folders of them; unknown ones are passed over.
            where: See :meth:`search`. Defaults to None.
        """
        ids = [ids] if isinstance(ids, int | np.integer) else ids
        paths = [paths] if isinstance(paths, str | bytes | PathLike) else paths
        return remove(self.storage, ids, paths, where)

    def search(
        self,
        queries: Any,
        k: int | None = 10,
        where: dict[str, Any] | None = None,
        exclude_self: bool = False,
        min_score: float | None = None,
        exact: bool = False,
        nprobe: int | None = None,
        rerank: str | dict[str, Any] | None = None,
        unreadable: list[tuple[int, str]] | None = None,
    ) -> list[Hit] | list[list[Hit]]:
        """The images most like each query, the nearest first.

        Args:
            queries: One query, a list or a generator: a path, PIL image, array (H, W, 3) RGB uint8,
                the id (int) of an item; or embeddings, floats (D,) or (Q, D), array or tensor.
            k: Hits a query; fewer where there are not so many. None: all of at least
                ``min_score``, exactly. Defaults to 10.
            where: Search only items with these values, exactly: ``dict(label='rose')``, a list for
                one of several, or a key of the metadata. Defaults to None: all.
            exclude_self: Leave out the item of the query's own file or id. Defaults to False.
            min_score: Leave out hits with a lower score; with ``rerank``, that is the score which
                it ranks by. Defaults to None.
            exact: Search exactly though the index has an approximate one. Defaults to False.
            nprobe: Lists of an IVF index to look into: more is slower and finds more.
            rerank: Rank better: 'AQE', 'DBA' or 'KReciprocal', or with options ``dict(type='AQE',
                n=10, alpha=3)``, ``dict(type='KReciprocal', k1=20, k2=6, weight=0.3,
                candidates=100)``; see :mod:`dva_mm.evaluation.rerank`. Defaults to None.
            unreadable: Takes place and reason of each query that cannot be read, which has no hits.
                Defaults to None: it is raised.

        Returns:
            Hits of one query, or a list of hits for each query of a list or array.

        Raises:
            ValueError: If ``k`` is not positive, an option of ``rerank`` or a key of ``where`` is
                unknown, ``nprobe`` is of another kind of index, a query cannot be read or has
                another width. A value of ``where`` that no item has is a warning.
        """
        return search(
            self,
            queries,
            *(k, where, exclude_self, min_score, exact, nprobe),
            rerank=rerank,
            unreadable=unreadable,
        )

    def check(self, sample: int = 100, k: int = 10, nprobe: int | None = None) -> dict[str, float]:
        """Recall and time beside exact search; see :func:`~.groups.measure_recall`."""
        check_nprobe(self.state['factory'], nprobe)
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
