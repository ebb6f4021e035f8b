"""The same index on Milvus, in a real Milvus Lite where that is installed."""

import importlib.util
import os
import sys
from contextlib import suppress

import cv2
import numpy as np
import pytest
from photos import make_retriever
from tiny_data import picture

from dva_mm.retrieval import Index, IndexBusyError
from dva_mm.retrieval.milvus_store import MilvusStorage
from dva_mm.retrieval.staging import Entry

# Loaded before any run: pymilvus closes the log files that are open when it is imported.
with suppress(ImportError):
    import pymilvus  # noqa: F401
HERE = all(importlib.util.find_spec(name) for name in ('milvus_lite', 'pymilvus'))
needs_milvus = pytest.mark.skipif(
    not HERE, reason='needs Milvus Lite: pip install "dva_mm[milvus]"'
)


@pytest.fixture
def both(retriever, photos, tmp_path):
    """The same photographs in a folder, exact, and in Milvus."""
    name = os.fsdecode(b'quote\'s "and\n\xff \xc3\xa9.png')
    (photos / name).write_bytes(cv2.imencode('.png', picture(1, 50)[0])[1].tobytes())
    options = dict(labels='folder', workers=0)
    folder = Index.build(retriever, photos, tmp_path / 'a.index', **options)
    milvus = Index.build(retriever, photos, f'milvus:{tmp_path}/a.db', **options)
    yield folder, milvus
    milvus.close()


def assert_same(ours, theirs):
    assert [hit._replace(score=0) for hit in ours] == [hit._replace(score=0) for hit in theirs]
    assert np.allclose([hit.score for hit in ours], [hit.score for hit in theirs], atol=1e-5)


@needs_milvus
@pytest.mark.filterwarnings('ignore:.*none')
def test_hits_are_those_of_the_folder(both, photos):
    folder, milvus = both
    assert len(milvus) == 13 and 'a.db' in repr(milvus)
    for query in sorted(photos.rglob('*.png')):
        for options in (
            dict(k=5),
            dict(k=50, exclude_self=True),
            dict(k=3, where=dict(label=['class_1', 'class_2'])),
            dict(k=3, where=dict(path=query)),
            dict(k=3, where=dict(label='it\'s "none"')),
            dict(k=None, min_score=0.5),
            dict(k=4, rerank=dict(type='AQE', n=3)),
            dict(k=4, rerank=dict(type='KReciprocal', k1=4, k2=2)),
        ):
            assert_same(milvus.search(query, **options), folder.search(query, **options))
    for rerank in (None, dict(type='DBA', n=2)):
        for ours, theirs in zip(
            milvus.search([2, 5], rerank=rerank), folder.search([2, 5], rerank=rerank), strict=True
        ):
            assert_same(ours, theirs)
    threshold = folder.search(0, k=2)[1].score - 1e-4
    assert milvus.duplicates(threshold) == folder.duplicates(threshold) != []
    assert milvus.cluster(3) == folder.cluster(3)
    assert milvus.check(5, k=3)['recall'] == 1


@needs_milvus
@pytest.mark.filterwarnings('ignore:.*shelf 7')
def test_sync_remove_and_add(both, photos, tmp_path, retriever):
    folder, milvus = both
    files = sorted(photos.rglob('0*.png'))
    files[0].unlink()
    cv2.imwrite(str(files[1]), picture(5, 99)[0])
    cv2.imwrite(str(photos / 'class_0' / 'new.png'), picture(1, 77)[0])
    (photos / 'bad.png').write_bytes(b'')
    for index in both:
        assert index.sync(photos, workers=0)[:3] == (2, 1, 11)
        assert index.sync(photos, workers=0)[:3] == (0, 0, 13)
        assert index.remove(ids=[3, 99], paths=[files[5]], where=dict(label='class_2')) > 2
    assert len(folder) == len(milvus)
    assert_same(milvus.search(files[1], k=20), folder.search(files[1], k=20))
    for index in both:
        more = [dict(shelf=i % 2, note="it's", price=0.5) for i in range(3)]
        images = [picture(i, 8)[0] for i in range(3)]
        index.add(images, labels=['a', 'b', None], metadata=more, workers=0)
    for where in (dict(shelf=1), dict(shelf=[0, 1], note="it's"), dict(price=0.5), dict(shelf=7)):
        assert_same(milvus.search(images[0], where=where), folder.search(images[0], where=where))
        with pytest.raises(ValueError, match='shelf'):
            milvus.search(images[0], where=dict(shelv=1))
    files[1] = files[1].rename(photos / 'moved.png')
    for index in both:
        number = index.search(files[4], k=1)[0].id
        assert index.sync(photos, workers=0).moved == 1
        assert index.search(files[1], k=1)[0].path == str(files[1])
        assert index.search(files[4], k=1)[0].id == number
    milvus.close()
    with Index.open(f'milvus:{tmp_path}/a.db', retriever) as again:
        assert_same(again.search(files[1], k=20), folder.search(files[1], k=20))
        with pytest.raises(IndexBusyError, match='a.db'), again.storage.writing():
            again.remove(ids=[1])
    assert not list(tmp_path.glob('*.staging'))


@needs_milvus
def test_a_change_that_is_cut_short_goes_on(both, photos, monkeypatch):
    _, milvus = both
    for number in range(6):
        cv2.imwrite(str(photos / f'new{number}.png'), picture(1, 70 + number)[0])
    blocks = MilvusStorage.commit

    def stop_after_one(self, found, gone, moved):
        def cut():
            for entries, vectors in found:
                yield entries[:2], vectors[:2]
                raise KeyboardInterrupt

        blocks(self, cut(), gone, moved)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MilvusStorage, 'commit', stop_after_one)
        milvus.sync(photos, workers=0)
    change = milvus.sync(photos, workers=0)
    assert change[:3] == (4, 0, 15) and len(milvus) == 19
    assert len({hit.path for hit in milvus.search(0, k=30)}) == 19


@needs_milvus
def test_approximate_indexes_and_refusals(retriever, photos, tmp_path):
    location = f'milvus:{tmp_path}/a.db#birds'
    with pytest.raises(FileNotFoundError, match='a.db'):
        Index.open(location)
    with pytest.raises(ValueError, match='hnsw'):
        Index.build(retriever, photos, location, factory='hnsw')
    with Index.build(retriever, photos, location, factory='HNSW,M=16', workers=0) as index:
        assert [hit.id for hit in index.search(5, k=3)][0] == 5
        with pytest.raises(ValueError, match='HNSW'):
            index.search(5, exact=True)
    with pytest.raises(ValueError, match='HNSW'):
        Index.build(retriever, photos, location)
    with pytest.raises(FileNotFoundError, match='cars'):
        Index.open(f'milvus:{tmp_path}/a.db#cars')
    with pytest.raises(ValueError, match='fingerprint'):
        Index.open(location, make_retriever(seed=1))
    with pytest.raises(ValueError, match='a-b'):
        Index.open(f'milvus:{tmp_path}/a.db#a-b')


@needs_milvus
def test_thousands_of_vectors_agree_with_exact_faiss(retriever, tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5000, retriever.dims)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    entries = [Entry(None, f'/{i}.jpg', 1, 1, None, {}) for i in range(len(rows))]
    found = []
    for location in (str(tmp_path / 'a.index'), f'milvus:{tmp_path}/a.db'):
        index = Index.build(retriever, [], location)
        with index.storage.writing():
            index.storage.commit([(entries[:4096], rows[:4096]), (entries[4096:], rows[4096:])], [])
        assert len(index.storage.files()) == len(index) == 5000
        found.append(index.search(rows[:50] + 0.1 * rows[50:100], k=20))
        index.close()
    for ours, theirs in zip(*found, strict=True):
        assert_same(ours, theirs)


def test_without_pymilvus_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'pymilvus', None)
    with pytest.raises(ImportError, match='milvus'):
        Index.open('http://localhost:1')
