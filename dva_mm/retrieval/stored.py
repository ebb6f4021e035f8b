"""An index as it is stored: opened, described, and with the model that it was made with."""

from pathlib import Path
from typing import Any, Self

from .change import Change
from .faiss_store import FaissStore, need_faiss
from .folder import FolderStorage
from .milvus_rows import is_milvus
from .milvus_store import MilvusStorage
from .retriever import Retriever


class StoredIndex:
    """What :class:`~dva_mm.retrieval.Index` searches and changes; its arguments are there."""

    def __init__(
        self, location: str | Path, retriever: Retriever | None = None, mmap: bool = False
    ) -> None:
        need_faiss()
        self.storage = storage_kind(location)(location, mmap)
        self._retriever = retriever
        self.load_options: dict[str, Any] = {}  # of Retriever.load, when the model is needed
        self.augmented: dict[tuple, FaissStore] = {}  # of rerank DBA
        self.last_change: Change | None = None
        if retriever is not None:
            self._check_model(retriever)

    @classmethod
    def open(
        cls, location: str | Path, retriever: Retriever | None = None, mmap: bool = False
    ) -> Self:
        """Read an index; see the class."""
        return cls(location, retriever, mmap)

    def refresh(self) -> bool:
        """Show the newest state; returns whether another process has changed it."""
        return self.storage.refresh()

    def close(self) -> None:
        """Close its files."""
        self.storage.close()

    def __enter__(self) -> Self:
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


def storage_kind(location: str | Path) -> type[FolderStorage] | type[MilvusStorage]:
    """The storage of a location: a folder or Milvus."""
    return MilvusStorage if is_milvus(location) else FolderStorage
