import json
import os
import shutil

import cv2
import numpy as np
import pytest
import torch
from photos import make_retriever, write_photos
from tiny_data import picture

from dva_mm.retrieval import Index, folder


def build(retriever, photos, out, **options):
    return Index.build(retriever, photos, out, labels='folder', workers=0, **options)


def brute_force(retriever, photos, query, k):
    files = sorted(map(str, photos.rglob('*.png')))
    rows = retriever.encode(files, workers=0, progress=False)
    scores = rows @ retriever.encode(query, workers=0, progress=False)[0]
    best = np.argsort(-scores)[:k]
    return [files[i] for i in best], scores[best]


def test_hits_are_those_of_brute_force(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    query = sorted(photos.rglob('*.png'))[4]
    hits = index.search(query, k=5)
    paths, scores = brute_force(retriever, photos, query, 5)
    assert [hit.path for hit in hits] == paths
    assert np.allclose([hit.score for hit in hits], scores, atol=1e-5)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert all(hit.label == os.path.basename(os.path.dirname(hit.path)) for hit in hits)
    without = index.search(query, k=5, exclude_self=True)
    assert [hit.path for hit in without][:4] == paths[1:]
    assert index.search(hits[0].id, k=5, exclude_self=True) == without
    assert index.search(query, k=5, min_score=hits[2].score) == hits[:3]
    assert len(index.search(query, k=100)) == len(index) == 12


def test_lists_and_embeddings_as_queries(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    files = sorted(photos.rglob('*.png'))[:3]
    answers = index.search([*files, 7], k=2)
    assert [hits[0].path for hits in answers[:3]] == list(map(str, files))
    assert answers[3][0].id == 7
    rows = 3.0 * retriever.encode(files, workers=0, progress=False)  # of any length
    found = index.search(rows, k=2)
    assert [[hit.id for hit in hits] for hits in found] == [
        [hit.id for hit in hits] for hits in answers[:3]
    ]
    for vectors in (torch.from_numpy(rows), list(rows), list(torch.from_numpy(rows).half())):
        assert [[hit.id for hit in hits] for hits in index.search(vectors, k=2)] == [
            [hit.id for hit in hits] for hits in found
        ]
    assert index.search(torch.from_numpy(rows[1]), k=2) == found[1]
    assert index.search((file for file in files), k=2) == answers[:3]
    with pytest.raises(ValueError, match='5'):
        index.search(np.ones((1, 5), np.float32))
    with pytest.raises(ValueError, match='nan'):
        index.search(np.full(index.dims, np.nan, np.float32))
    with pytest.raises(ValueError, match='uint8'):
        index.search(np.ones((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match='99'):
        index.search(99)
    with pytest.raises(ValueError, match='0'):
        index.search(files[0], k=0)


def test_where_searches_among_the_items_that_fit(retriever, photos, tmp_path):
    files = sorted(photos.rglob('*.png'))
    index = Index.build(
        retriever,
        files,
        tmp_path / 'a.index',
        labels=[file.parent.name for file in files],
        metadata=[dict(shelf=i % 2, note="it's") for i in range(len(files))],
        workers=0,
    )
    hits = index.search(files[0], k=20, where=dict(label='class_1'))
    assert {hit.label for hit in hits} == {'class_1'} and len(hits) == 4
    hits = index.search(files[0], k=20, where=dict(label=['class_1', 'class_2'], shelf=1))
    expected = [f for i, f in enumerate(files) if i % 2 and f.parent.name != 'class_0']
    assert {hit.path for hit in hits} == set(map(str, expected))
    assert {hit.metadata['shelf'] for hit in hits} == {1}
    with pytest.raises(ValueError, match='DROP'):
        index.search(files[0], where={"a') OR 1; DROP TABLE items": 1})


def test_sync_embeds_what_changed_and_drops_what_vanished(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    files = sorted(photos.rglob('*.png'))
    files[0].unlink()
    cv2.imwrite(str(files[1]), picture(5, 99)[0])
    cv2.imwrite(str(photos / 'class_0' / 'new.png'), picture(1, 77)[0])
    change = index.sync(photos, labels='folder', workers=0)
    assert (change.added, change.removed, change.unchanged) == (2, 1, 10)
    fresh = build(retriever, photos, tmp_path / 'b.index')
    for query in sorted(photos.rglob('*.png')):
        ours, theirs = index.search(query, k=4), fresh.search(query, k=4)
        assert [(h.path, h.label) for h in ours] == [(h.path, h.label) for h in theirs]
    assert index.sync(photos, workers=0)[:3] == (0, 0, 12)
    again = Index.open(tmp_path / 'a.index', retriever)
    assert again.search(files[1], k=3) == index.search(files[1], k=3)
    assert sorted(p.name for p in (tmp_path / 'a.index').iterdir()) == [
        'exact-2.faiss',
        'index.json',
        'items.sqlite',
        'write.lock',
    ]


def test_an_unchanged_folder_is_synced_without_the_model(retriever, photos, tmp_path):
    build(retriever, photos, tmp_path / 'a.index')
    index = Index.open(tmp_path / 'a.index')  # it could not load one: it was not loaded from files
    assert index.sync(photos)[:3] == (0, 0, 12)


def test_remove_and_add(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    files = sorted(photos.rglob('*.png'))
    numbers = {hit.path: hit.id for hit in index.search(files[0], k=12)}
    assert index.remove(ids=[numbers[str(files[3])], 99], paths=[files[5]]) == 2
    assert index.remove(where=dict(label='class_2')) == 4 - (files[3].parent == files[8].parent)
    left = {hit.path for hit in index.search(files[0], k=20)}
    assert str(files[3]) not in left and str(files[5]) not in left
    change = index.add(files, workers=0)
    assert change.added == 12 - len(left) and len(index) == 12
    assert len({hit.id for hit in index.search(files[0], k=20)}) == 12
    assert max(hit.id for hit in index.search(files[0], k=20)) >= 12  # ids are not used again


def test_images_in_memory_have_no_path(retriever, photos, tmp_path):
    images = [picture(0, i)[0] for i in range(3)]
    index = Index.build(retriever, images, tmp_path / 'a.index', labels=['a', 'b', 'c'], workers=0)
    hit = index.search(images[1], k=1)[0]
    assert (hit.path, hit.label) == (None, 'b') and hit.score == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match='labels'):
        index.add(images, labels=['a'])


def test_bad_files_are_reported_and_the_rest_is_kept(retriever, photos, tmp_path):
    (photos / 'zero.jpg').write_bytes(b'')
    (photos / 'text.png').write_text('no image')
    name = os.fsdecode(b'quote\'s "and\n\xff.png')
    shutil.copy(next(photos.rglob('0*.png')), photos / name)
    index = build(retriever, photos, tmp_path / 'a.index')
    bad = dict(index.last_change.failures)
    assert {os.path.basename(path) for path in bad} == {'zero.jpg', 'text.png'}
    assert len(index) == 13
    strange = str(photos / name)
    assert strange in {hit.path for hit in index.search(photos / name, k=2)}
    assert index.sync(photos, workers=0)[:3] == (0, 0, 13)


@pytest.mark.parametrize('factory', ['IVF4,Flat', 'HNSW8', 'SQ8', 'PCA8,IVF4,SQ8'])
def test_approximate_indexes(retriever, photos, tmp_path, factory):
    index = build(retriever, photos, tmp_path / 'a.index', factory=factory)
    figures = index.check(12, k=3)
    assert figures['recall'] > 0.6 and figures['ms'] > 0 and figures['exact_ms'] > 0
    file = sorted(photos.rglob('*.png'))[2]
    file.unlink()
    index.sync(photos, workers=0)
    again = Index.open(tmp_path / 'a.index', retriever)
    assert len(again) == 11 and again.state['factory'] == factory
    assert str(file) not in {hit.path for hit in again.search(0, k=11)}
    near = again.search(5, k=3, exact=True)
    nprobe = 4 if 'IVF' in factory else None
    assert [hit.id for hit in again.search(5, k=3, nprobe=nprobe)] == [hit.id for hit in near]
    with pytest.raises(ValueError, match=factory):
        Index.build(retriever, photos, tmp_path / 'a.index')
    mapped = Index.open(tmp_path / 'a.index', retriever, mmap=True)
    assert mapped.search(0, k=3) == again.search(0, k=3)
    mapped.remove(ids=[0])
    assert len(mapped) == 10
    write_photos(photos, 60)  # five times as many: it is trained again
    again.sync(photos, workers=0)  # with labels, as it was built
    assert again.state['trained_on'] == len(again) == 60
    assert again.remove(where=dict(label='class_0')) and again.remove(ids=range(80))
    assert len(again) == 0 and again.search(np.ones(retriever.dims, np.float32)) == []
    again.sync(photos, workers=0)
    assert len(again.search(files_id(again), k=5)) == 5


def files_id(index):
    """The id of any item."""
    return next(iter(index.storage.files().values()))[0]


def test_too_few_images_for_a_factory_fail_before_any_is_embedded(
    retriever, photos, tmp_path, monkeypatch
):
    monkeypatch.delattr(type(retriever), 'stream')
    for factory, least in (('IVF64,Flat', '64'), ('PQ8', '256'), ('IVF4,PQ8', '256')):
        with pytest.raises(ValueError, match=least):
            Index.build(retriever, photos, tmp_path / factory, factory=factory)


def test_flip_belongs_to_the_index(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index', flip=True)
    rows = retriever.encode(photos, workers=0, flip=True, progress=False)
    assert np.allclose(index.storage.vectors(range(12)), rows, atol=1e-6)
    file = sorted(photos.rglob('*.png'))[3]
    copy = shutil.copy(file, photos / 'copy.png')
    again = Index.open(tmp_path / 'a.index', retriever)
    again.sync(photos, workers=0)
    assert again.search(copy, k=2)[1].score == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match='flip'):
        build(retriever, photos, tmp_path / 'a.index', flip=False)


def test_ways_with_dots_are_the_same_folder(retriever, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(photos / 'class_0')
    index = build(retriever, '../../photos', tmp_path / 'a.index')
    file = sorted(photos.rglob('*.png'))[0]
    way = f'../class_0/{file.name}'
    assert file.samefile(way) and str(file) == index.search(way, k=1)[0].path
    assert str(file) not in {hit.path for hit in index.search(way, k=12, exclude_self=True)}
    file.unlink()
    assert index.sync('../../photos', workers=0)[:3] == (0, 1, 11)


def test_all_hits_above_a_score(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    hits = index.search([0, 5], k=12)
    least = hits[0][4].score
    assert index.search([0, 5], k=None, min_score=least) == [
        [hit for hit in found if hit.score >= least] for found in hits
    ]
    found = index.search(0, k=None, min_score=-1, where=dict(label='class_1'))
    assert found == index.search(0, k=12, where=dict(label='class_1'))
    with pytest.raises(ValueError, match='min_score'):
        index.search(0, k=None)


def test_a_reader_that_meets_a_writer_reads_again(retriever, photos, tmp_path, monkeypatch):
    out = tmp_path / 'a.index'
    index = build(retriever, photos, out)
    old = json.loads((out / 'index.json').read_text())
    index.remove(ids=[3])
    read, stale = folder.read_state, [old]
    monkeypatch.setattr(folder, 'read_state', lambda path: stale.pop() if stale else read(path))
    assert len(Index.open(out)) == 11 and not stale


def test_a_folder_that_cannot_be_read_loses_no_items(retriever, photos, tmp_path, monkeypatch):
    index = build(retriever, photos, tmp_path / 'a.index')
    walk = os.walk

    def blocked(root, onerror):
        onerror(PermissionError(13, 'Permission denied', str(photos / 'class_1')))
        return ((p, d, f) for p, d, f in walk(root) if not p.endswith('class_1'))

    monkeypatch.setattr(os, 'walk', blocked)
    change = index.sync(photos, workers=0)
    assert change[:3] == (0, 0, 8) and len(index) == 12
    assert [name for name, _ in change.failures] == [str(photos / 'class_1')]


def test_names_that_are_no_text(retriever, photos, tmp_path):
    name = os.fsdecode(b'class \xff "\n\'')
    (photos / name).mkdir()
    file = str(shutil.copy(next(photos.rglob('0*.png')), photos / name / 'a.png'))
    index = build(retriever, photos, tmp_path / 'a.index')
    hit = next(hit for hit in index.search(file, k=2) if hit.path == file)
    assert hit.label.encode() == b'class \\xff "\n\''


def test_metadata_that_is_no_json_is_refused_before_long_work(retriever, photos, tmp_path):
    files = sorted(photos.rglob('*.png'))
    with pytest.raises(ValueError, match='metadata'):
        Index.build(retriever, files, tmp_path / 'a.index', metadata=[dict(a={1})] * 12)
    index = Index.build(retriever, files, tmp_path / 'b.index', workers=0)
    with pytest.raises(ValueError, match='label'):
        index.search(0, where=dict(label=None))


def test_an_unknown_factory_fails_before_any_image_is_read(retriever, tmp_path):
    with pytest.raises(ValueError, match='IVFoops'):
        Index.build(retriever, tmp_path / 'absent', tmp_path / 'a.index', factory='IVFoops')
    assert not (tmp_path / 'a.index').exists()


def test_another_model_is_refused(retriever, photos, tmp_path):
    build(retriever, photos, tmp_path / 'a.index')
    other = make_retriever(seed=1)
    with pytest.raises(ValueError, match=other.fingerprint):
        Index.open(tmp_path / 'a.index', other)


def test_a_damaged_index_is_refused(retriever, photos, tmp_path):
    with pytest.raises(FileNotFoundError, match='absent'):
        Index.open(tmp_path / 'absent')
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'thesis.txt').write_text('mine')
    with pytest.raises(ValueError, match='full'):
        build(retriever, photos, tmp_path / 'full')
    build(retriever, photos, tmp_path / 'a.index')
    for name, damage in (
        ('exact-1.faiss', lambda content: content[:-100]),
        ('exact-1.faiss', lambda content: b'foreign' + content),
        ('items.sqlite', lambda content: b'foreign' + content),
        ('index.json', lambda content: content[:-20]),
        ('index.json', lambda content: json.dumps(dict(json.loads(content), version=9)).encode()),
        ('index.json', lambda content: json.dumps(dict(json.loads(content), count=9)).encode()),
    ):
        copy = tmp_path / 'copy.index'
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(tmp_path / 'a.index', copy)
        (copy / name).write_bytes(damage((copy / name).read_bytes()))
        with pytest.raises(ValueError, match='copy.index'):
            Index.open(copy)


def test_duplicates_and_clusters(retriever, photos, tmp_path):
    files = sorted(photos.rglob('*.png'))
    shutil.copy(files[0], photos / 'copy of it.png')
    index = build(retriever, photos, tmp_path / 'a.index')
    group = index.duplicates(0.99999)[0]
    assert {item.path for item in group} == {str(files[0]), str(photos / 'copy of it.png')}
    clusters = index.cluster(3)
    assert len(clusters) == 3 and sum(map(len, clusters)) == 13
    assert [len(c) for c in clusters] == sorted(map(len, clusters), reverse=True)
    with pytest.raises(ValueError, match='14'):
        index.cluster(14)


def test_a_folder_may_change_while_it_is_read(retriever, photos, tmp_path):
    files = sorted(photos.rglob('*.png'))

    def meddle(path):
        if path == str(files[2]):
            files[5].unlink()  # listed, not looked at yet
            shutil.copy(files[0], photos / 'late.png')
        if path == str(files[11]):
            files[1].unlink()  # looked at, not read yet
            cv2.imwrite(str(files[0]), picture(4, 44)[0])
        return 'any'

    index = Index.build(retriever, photos, tmp_path / 'a.index', labels=meddle, workers=0)
    change = index.last_change
    assert change[:3] == (10, 0, 0)
    assert {name for name, _ in change.failures} == {str(files[1]), str(files[5])}
    change = index.sync(photos, workers=0)
    assert change[:3] == (2, 0, 9) and not change.failures  # the late one, and the one replaced
    assert set(index.storage.files()) == set(map(str, photos.rglob('*.png')))


def test_a_generator_of_images_is_indexed(retriever, photos, tmp_path):
    files = sorted(photos.rglob('*.png'))
    index = Index.build(retriever, (file for file in files), tmp_path / 'a.index', workers=0)
    assert [item.path for item in index.storage.items(range(12)).values()] == list(map(str, files))
    assert index.add(iter([*files, photos / 'absent.png']), workers=0)[:3] == (0, 0, 12)
    assert index.last_change.failures[0][0] == str(photos / 'absent.png')


def test_a_folder_that_is_empty_now_is_refused(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    shutil.move(photos, tmp_path / 'elsewhere')
    photos.mkdir()
    with pytest.raises(ValueError, match='photos'):
        index.sync(photos, workers=0)
    assert len(index) == len(Index.open(tmp_path / 'a.index')) == 12


def test_labels_and_metadata_are_kept_and_can_be_given_later(retriever, photos, tmp_path):
    files = sorted(photos.rglob('*.png'))[:3]
    index = Index.build(retriever, files, tmp_path / 'a.index', labels=['a', 'b', 'c'], workers=0)
    assert index.add([files[0]], metadata=[dict(camera='X')], workers=0).added == 1
    assert index.add([files[0]], labels=['a'], metadata=[dict(camera='X')], workers=0).added == 0
    cv2.imwrite(str(files[0]), picture(4, 44)[0])
    index.add([files[0]], workers=0)
    (hit,) = index.search(files[0], k=3, where=dict(camera='X'))
    assert (hit.path, hit.label, hit.metadata) == (str(files[0]), 'a', dict(camera='X'))
    assert len(index) == 3


def test_an_index_with_nothing_yet_is_made_as_asked_for(retriever, photos, tmp_path):
    with pytest.raises(ValueError, match='IVF64,Flat'):
        build(retriever, photos, tmp_path / 'a.index', factory='IVF64,Flat')
    assert len(build(retriever, photos, tmp_path / 'a.index')) == 12


def test_overwritten_vectors_are_noticed(retriever, photos, tmp_path):
    build(retriever, photos, tmp_path / 'a.index').close()
    file = tmp_path / 'a.index' / 'exact-1.faiss'
    content = bytearray(file.read_bytes())
    content[400:800] = np.random.default_rng(0).bytes(400)
    file.write_bytes(content)
    with pytest.raises(ValueError, match='exact-1.faiss'):
        Index.open(tmp_path / 'a.index')


def test_one_path_or_id_is_removed_and_a_wrong_where_is_named(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    assert (
        index.remove(ids=0) == index.remove(paths=sorted(map(str, photos.rglob('*.png')))[3]) == 1
    )
    for call in (index.remove, lambda where: index.search(5, where=where)):
        with pytest.raises(ValueError, match='rose'):
            call(where='rose')


def test_mistakes_are_named(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    file = next(photos.rglob('*.png'))
    for search in (index.search, lambda _, nprobe: index.check(nprobe=nprobe)):
        with pytest.raises(ValueError, match='nprobe'):
            search(file, nprobe=4)
    assert index.search(file, rerank='AQE') == index.search(file, rerank=dict(type='AQE'))
    for wrong in ('AQEE', ['AQE']):
        with pytest.raises(ValueError, match='AQE'):
            index.search(file, rerank=wrong)
    for name in ('metadata', 'labels'):
        with pytest.raises(ValueError, match=name):
            index.add([file], **{name: dict(shelf=1)})
    with pytest.raises(ValueError, match='metadata'):
        index.add([file], metadata=['shelf'])


def test_queries_that_cannot_be_read(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    good = next(photos.rglob('*.png'))
    bad = tmp_path / 'bad.png'
    bad.write_text('no image')
    with pytest.raises(ValueError, match='bad.png'):
        index.search([good, bad])
    with pytest.raises(ValueError, match='bad.png'):
        index.search(iter([good, bad]))
    unreadable = []
    answers = index.search([good, bad, 3], k=2, unreadable=unreadable)
    assert answers[0] == index.search(good, k=2) and answers[2] == index.search(3, k=2)
    assert answers[1] == [] and [place for place, _ in unreadable] == [1]


def test_a_folder_is_removed_with_all_below_it(retriever, photos, tmp_path):
    index = build(retriever, photos, tmp_path / 'a.index')
    assert index.remove(paths=[photos / 'class_1', photos / 'class_']) == 4
    assert {item.label for item in index.storage.items(range(12)).values()} == {
        'class_0',
        'class_2',
    }
