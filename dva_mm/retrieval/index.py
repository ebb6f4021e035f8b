"""Index: a folder that answers which images are most like a given one."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .faiss_store import FaissStore, need_faiss
from .groups import clusters, duplicate_groups, measure_recall
from .images import find_images
from .items import Item, Items
from .retriever import Retriever, as_images
from .staging import Entry, file_entry
from .state import ITEMS, LOCK, STATE, new_state, read_state, write_state
from .writer import Change, change, commit, writing


class Hit(NamedTuple):
    """One answer to a query."""

    rank: int
    """From 1."""
    score: float
    """Cosine with the query, -1..1."""
    path: str | None
    """The image file; None of an image that was given in memory."""
    id: int
    """Number of the item in the index."""
    label: str | None
    metadata: dict[str, Any]


class Index:
    """Images by their embeddings. :meth:`build` makes one, :meth:`open` reads one.

    The folder holds ``index.json`` (what it was made with), ``items.sqlite`` (path, label, size,
    time and metadata of each image) and the vectors as faiss files. A change appears as a whole
    when ``index.json`` is replaced. One process writes at a time; readers go on with what they
    opened, and :meth:`refresh` shows them the change.

    Args:
        folder: The index.
        retriever: Embeds queries and new images; loaded when first needed if it is None.
        mmap: Map the vectors into memory instead of reading them, for indexes larger than the
            memory. Defaults to False.

    Raises:
        FileNotFoundError: If there is no index.
        ValueError: If a file of it is damaged, or it was made with another model than the
            retriever's.
    """

    def __init__(
        self, folder: str | Path, retriever: Retriever | None = None, mmap: bool = False
    ) -> None:
        need_faiss()
        self.folder = Path(folder).expanduser().absolute()
        self.mmap = mmap
        self._retriever = retriever
        self.read()
        if retriever is not None:
            self._check_model(retriever)

    @classmethod
    def build(
        cls,
        retriever: Retriever,
        images: Any,
        out: str | Path,
        factory: str | None = None,
        **options: Any,
    ) -> 'Index':
        """Make an index of images, or finish one that was interrupted.

        Args:
            retriever: Embeds the images.
            images: A folder (with all below it), or what :meth:`Retriever.encode` takes.
            out: Folder of the index. One that is there already, of the same model and factory,
                gets what it lacks.
            factory: faiss's string of an approximate index, such as 'IVF4096,PQ64'. Defaults to
                None: exact.
            **options: See :meth:`add`.

        Raises:
            ValueError: If ``out`` is an index of another model or factory, or something else.
            RuntimeError: If another process is writing to it.
        """
        need_faiss()
        out = Path(out).expanduser().absolute()
        FaissStore(retriever.dims, factory)  # an unknown factory fails before any long work
        if not (out / STATE).exists():
            ours = (ITEMS, LOCK, '.index.')  # of a process killed right here
            if out.is_file() or any(not path.name.startswith(ours) for path in out.glob('*')):
                raise ValueError(f'{out} exists and is no index; choose another folder')
            out.mkdir(parents=True, exist_ok=True)
            Items(out / ITEMS, writable=True).close()
            write_state(out, new_state(retriever, factory))
        index = cls(out, retriever)
        if index.factory != factory:
            raise ValueError(
                f'{out} was made with factory={index.factory!r}, asked for is {factory!r}; build '
                'into another folder'
            )
        is_folder = isinstance(images, str | Path) and Path(images).expanduser().is_dir()
        index.last_change = (
            index.sync(images, **options) if is_folder else index.add(images, **options)
        )
        return index

    @classmethod
    def open(
        cls, folder: str | Path, retriever: Retriever | None = None, mmap: bool = False
    ) -> 'Index':
        """Read an index; see the class."""
        return cls(folder, retriever, mmap)

    def read(self) -> None:
        """Read the newest state from the folder."""
        self.state = read_state(self.folder)
        exact, approximate = self.files(self.state['generation'])
        if self.state['count']:
            self.store = FaissStore.open(self.dims, self.factory, exact, approximate, self.mmap)
        else:
            self.store = FaissStore(self.dims, self.factory)
        if len(self.store) != self.state['count']:
            raise ValueError(
                f'{self.folder}: {exact.name} holds {len(self.store)} vectors, {STATE} says '
                f'{self.state["count"]}; restore the folder, or build it again'
            )
        self.items = Items(self.folder / ITEMS)

    def refresh(self) -> bool:
        """Show the newest state; returns whether another process has changed it."""
        if read_state(self.folder)['generation'] == self.state['generation']:
            return False
        self.items.close()
        self.read()
        return True

    def close(self) -> None:
        """Close its files."""
        self.items.close()

    def __enter__(self) -> 'Index':
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.state['count']

    def __repr__(self) -> str:
        kind = self.factory or 'exact'
        return f'Index({str(self.folder)!r}, {len(self):,} images, {self.dims} values, {kind})'

    @property
    def dims(self) -> int:
        """Width D of the vectors."""
        return self.state['dims']

    @property
    def factory(self) -> str | None:
        """faiss's string of the approximate index; None of an exact one."""
        return self.state['factory']

    @property
    def retriever(self) -> Retriever:
        """The model; loaded from where the index was made with if none was given."""
        if self._retriever is None:
            retriever = Retriever.load(**self.state['model'])
            self._check_model(retriever)
            self._retriever = retriever
        return self._retriever

    def _check_model(self, retriever: Retriever) -> None:
        if retriever.fingerprint != self.state['fingerprint']:
            raise ValueError(
                f'{self.folder} was made with another model ({self.state["model"]}, fingerprint '
                f'{self.state["fingerprint"]}) than {retriever.name or "the one given"} '
                f'({retriever.fingerprint}): their embeddings do not compare. Load that model, or '
                'build another index'
            )

    def add(
        self,
        images: Any,
        labels: Sequence[str] | None = None,
        metadata: Sequence[dict] | None = None,
        batch_size: int = 64,
        workers: int = 2,
        flip: bool = False,
    ) -> Change:
        """Add images. A file that is there as it is now is left alone; a changed one is replaced.

        Args:
            images: What :meth:`Retriever.encode` takes, but for data sets.
            labels: A class name for each image. Defaults to None.
            metadata: A dict of JSON values for each image. Defaults to None.
            batch_size, workers, flip: See :meth:`Retriever.encode`.

        Raises:
            ValueError: If labels or metadata are not as many as the images.
            RuntimeError: If another process is writing.
        """
        images = as_images(images)
        for name, values in (('labels', labels), ('metadata', metadata)):
            if values is not None and (
                not hasattr(images, '__len__') or len(values) != len(images)
            ):
                raise ValueError(f'{name} must have one value for each image')

        def entries(failures: list[tuple[str, str]]) -> Iterator[Entry]:
            for row, image in enumerate(images):
                label = None if labels is None else labels[row]
                extra = {} if metadata is None else metadata[row]
                try:
                    if isinstance(image, str | bytes | Path):
                        yield file_entry(image, label, extra)
                    else:
                        yield Entry(image, None, None, None, label, extra)
                except OSError as error:
                    failures.append((str(image), str(error)))

        total = len(images) if hasattr(images, '__len__') else None
        options = dict(batch_size=batch_size, workers=workers, flip=flip)
        return change(self, entries, total, **options)

    def sync(
        self,
        folder: str | Path,
        labels: Callable[[str], str | None] | str | None = None,
        batch_size: int = 64,
        workers: int = 2,
        flip: bool = False,
    ) -> Change:
        """Make the index agree with a folder: embed what is new or changed, drop what vanished.

        Args:
            folder: Items below it that are no longer there are removed; others are left alone.
            labels: 'folder' takes the name of each image's folder; a function takes its path.
                Defaults to None: no labels.
            batch_size, workers, flip: See :meth:`Retriever.encode`.

        Raises:
            FileNotFoundError: If the folder does not exist.
            RuntimeError: If another process is writing.
        """
        root = Path(folder).expanduser().absolute()
        name_label = (lambda path: Path(path).parent.name) if labels == 'folder' else labels
        paths = find_images(root)

        def entries(failures: list[tuple[str, str]]) -> Iterator[Entry]:
            for path in paths:
                try:
                    yield file_entry(path, None if name_label is None else name_label(path))
                except OSError as error:  # it vanished just now
                    failures.append((path, str(error)))

        options = dict(batch_size=batch_size, workers=workers, flip=flip)
        return change(self, entries, len(paths), root, **options)

    def remove(
        self,
        ids: Sequence[int] = (),
        paths: Sequence[str | Path] = (),
        where: dict[str, Any] | None = None,
    ) -> int:
        """Remove items by id, by path, or by their values; returns how many.

        Args:
            ids, paths: Of the items; unknown ones are passed over.
            where: See :meth:`search`. Defaults to None.
        """
        with writing(self):
            generation = self.state['generation']
            gone = set(map(int, ids)) & set(self.store.ids.tolist())
            if paths:
                gone |= set(self.items.select(dict(path=list(paths)), generation))
            if where:
                gone |= set(self.items.select(where, generation))
            if gone:
                commit(self, [], np.empty((0, self.dims), np.float32), sorted(gone))
            return len(gone)

    def prepare_to_write(self) -> None:
        """Show the newest state; read vectors that were mapped as a whole."""
        self.refresh()
        if self.mmap:
            self.mmap = False
            self.read()

    def files(self, generation: int) -> tuple[Path, Path]:
        """The files of a generation's exact and approximate vectors."""
        names = f'exact-{generation}.faiss', f'approximate-{generation}.faiss'
        return self.folder / names[0], self.folder / names[1]

    def search(
        self,
        queries: Any,
        k: int = 10,
        where: dict[str, Any] | None = None,
        exclude_self: bool = False,
        min_score: float | None = None,
        exact: bool = False,
        nprobe: int | None = None,
    ) -> list[Hit] | list[list[Hit]]:
        """The images most like each query, the nearest first.

        Args:
            queries: One query or a list: a path, PIL image, array (H, W, 3) RGB uint8, the id (int)
                of an item; or embeddings, an array (Q, D) of floats.
            k: Hits a query; fewer where there are not so many. Defaults to 10.
            where: Search only items with these values, exactly: ``dict(label='rose')``, a list for
                one of several, or a key of the metadata. Defaults to None: all.
            exclude_self: Leave out the item of the query's own file or id. Defaults to False.
            min_score: Leave out hits with a lower score. Defaults to None.
            exact: Search exactly though the index has an approximate one. Defaults to False.
            nprobe: Lists of an IVF index to look into: more is slower and finds more.

        Returns:
            Hits of one query, or a list of hits for each query of a list or array.

        Raises:
            ValueError: If ``k`` is not positive, a query cannot be read or has another width.
        """
        if not isinstance(k, int) or k < 1:
            raise ValueError(f'k must be a positive integer, got {k!r}')
        vectors, own, single = self._embed_queries(queries)
        allowed = None if where is None else self.items.select(where, self.state['generation'])
        ks = min(k + exclude_self, len(self) if allowed is None else len(allowed))
        if ks == 0:
            found = [([], [])] * len(vectors)
        else:
            found = zip(*self.store.search(vectors, ks, allowed, exact, nprobe), strict=True)
        answers = [
            self._hits(scores, ids, k, mine if exclude_self else None, min_score)
            for (scores, ids), mine in zip(found, own, strict=True)
        ]
        return answers[0] if single else answers

    def _hits(
        self,
        scores: Sequence[float],
        ids: Sequence[int],
        k: int,
        own: int | str | None,
        min_score: float | None,
    ) -> list[Hit]:
        items = self.items.get([int(i) for i in ids if i >= 0])
        hits: list[Hit] = []
        for score, number in zip(scores, ids, strict=True):
            item = items.get(int(number))
            if item is None or (own is not None and own in (item.id, item.path)):
                continue
            if len(hits) < k and (min_score is None or score >= min_score):
                rank = len(hits) + 1
                hit = Hit(rank, float(score), item.path, item.id, item.label, item.metadata)
                hits.append(hit)
        return hits

    def _embed_queries(self, queries: Any) -> tuple[np.ndarray, list[int | str | None], bool]:
        """Vectors (Q, D), each query's own id or path, and whether one query was asked."""
        if isinstance(queries, np.ndarray) and queries.dtype.kind == 'f':
            vectors = np.atleast_2d(queries).astype(np.float32)
            if vectors.shape[1] != self.dims:
                raise ValueError(
                    f'queries have {vectors.shape[1]} values, the index has {self.dims}: they are '
                    'of another model'
                )
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            return vectors, [None] * len(vectors), queries.ndim == 1
        single = not isinstance(queries, list | tuple)
        asked = [queries] if single else list(queries)
        numbers = [isinstance(query, int | np.integer) for query in asked]
        images = [query for query, is_number in zip(asked, numbers, strict=True) if not is_number]
        ids = [int(query) for query, is_number in zip(asked, numbers, strict=True) if is_number]
        if missing := set(ids) - set(self.store.ids.tolist()):
            raise ValueError(f'there is no item {min(missing)} in {self.folder}')
        vectors = np.empty((len(asked), self.dims), np.float32)
        where = np.array(numbers, dtype=bool)
        vectors[where] = self.store.vectors(ids)
        if images:
            vectors[~where] = self.retriever.encode(images, workers=0, progress=len(images) > 64)
        own = [
            q if n else str(Path(q).expanduser().absolute()) if isinstance(q, str | Path) else None
            for q, n in zip(asked, numbers, strict=True)
        ]
        return vectors, own, single

    def check(self, sample: int = 100, k: int = 10, nprobe: int | None = None) -> dict[str, float]:
        """Recall and milliseconds of the approximate index beside exact search, on its own items.

        See :func:`~dva_mm.retrieval.groups.measure_recall`.

        Raises:
            ValueError: If the index is empty.
        """
        if not len(self):
            raise ValueError(f'{self.folder} is empty: there is nothing to check')
        return measure_recall(self.store, sample, k, nprobe)

    def duplicates(self, threshold: float = 0.98) -> list[list[Item]]:
        """Groups of images that are alike: each is linked to another by at least ``threshold``.

        Args:
            threshold: Least cosine of a link. Defaults to 0.98.

        Returns:
            Groups of two and more, the largest first, each by id.
        """
        return self._items(duplicate_groups(self.store, threshold))

    def cluster(self, k: int, seed: int = 0) -> list[list[Item]]:
        """Sort all images into ``k`` clusters by spherical k-means.

        Args:
            k: Number of clusters, at most that of the images.
            seed: Of the start. Defaults to 0.

        Returns:
            The clusters, the largest first, each with the image nearest to its mean first.

        Raises:
            ValueError: If there are fewer images than clusters.
        """
        if not 1 <= k <= len(self):
            raise ValueError(f'k must lie between 1 and the {len(self)} images, got {k}')
        ids = self.store.ids
        return self._items(clusters(ids, self.store.vectors(ids), k, seed))

    def _items(self, groups: list[list[int]]) -> list[list[Item]]:
        items = self.items.get([number for group in groups for number in group])
        return [[items[number] for number in group] for group in groups]
