import os
import shutil

import cv2
import pytest
from photos import write_photos
from tiny_data import picture

from dva_mm.retrieval import Index
from dva_mm.retrieval.moved import match_moved
from dva_mm.retrieval.staging import Entry

TIME = 1_700_000_000_123_456_789
WHOLE = 1_700_000_000_000_000_000


def entry(path, size=50_000, time=TIME):
    return Entry(path, path, size, time, None, {})


@pytest.mark.parametrize(
    ('new', 'old', 'is_moved'),
    [
        (entry('/b/9.jpg'), ('/a/1.jpg', 50_000, TIME), True),
        (entry('/b/1.jpg', time=WHOLE), ('/a/1.jpg', 50_000, WHOLE), True),
        (entry('/b/9.jpg', time=WHOLE), ('/a/1.jpg', 50_000, WHOLE), False),
        (entry('/b/1.bmp', time=WHOLE), ('/a/1.bmp', 50_000, WHOLE), False),
        (entry('/b/1.bmp'), ('/a/1.bmp', 50_000, TIME), True),
        (entry('/b/1.jpg', size=50_001), ('/a/1.jpg', 50_000, TIME), False),
        (entry('/b/1.jpg', time=TIME + 1), ('/a/1.jpg', 50_000, TIME), False),
    ],
)
def test_what_tells_a_moved_file(new, old, is_moved):
    path, *known = old
    found = match_moved([new], {path: (7, *known)})
    assert found == ({new.path: (path, 7)} if is_moved else {})


def test_of_several_that_fit_none_is_taken():
    gone = {'/a/1.jpg': (7, 50_000, TIME), '/a/2.jpg': (8, 50_000, TIME)}
    assert match_moved([entry('/b/1.jpg')], gone) == {}
    gone.pop('/a/2.jpg')
    assert match_moved([entry('/b/1.jpg'), entry('/b/2.jpg')], gone) == {}


@pytest.fixture
def index(retriever, photos, tmp_path):
    return Index.build(retriever, photos, tmp_path / 'a.index', labels='folder', workers=0)


def test_a_moved_file_keeps_embedding_id_and_metadata(index, photos, tmp_path, monkeypatch):
    files = sorted(photos.rglob('*.png'))
    index.add([files[0]], metadata=[dict(shelf=3)], workers=0)
    before = {path: number for path, (number, _, _) in index.storage.files().items()}
    reader = Index.open(tmp_path / 'a.index')
    os.renames(photos / 'class_0', photos / 'roses')
    renamed = files[5].rename(files[5].with_name('best.png'))
    monkeypatch.setattr(type(index.retriever), 'stream', None)  # nothing is embedded
    change = index.sync(photos)
    assert change[:3] == (0, 0, 7) and change.moved == 5 and '5 moved' in str(change)
    after = {path: number for path, (number, _, _) in index.storage.files().items()}
    assert set(after) == set(map(str, photos.rglob('*.png')))
    moved = photos / 'roses' / files[0].name
    assert (
        after[str(moved)] == before[str(files[0])] and after[str(renamed)] == before[str(files[5])]
    )
    item = index.storage.items([after[str(moved)]])[after[str(moved)]]
    assert item.label == 'roses' and item.metadata == dict(shelf=3)
    number = after[str(moved)]
    assert index.search(number, k=1)[0].path == str(moved)
    assert reader.search(number, k=1)[0].path == str(files[0])  # of the generation that it opened
    assert Index.open(tmp_path / 'a.index').search(number, k=1)[0].path == str(moved)
    assert index.sync(photos)[:3] == (0, 0, 12)
    middle = Index.open(tmp_path / 'a.index')
    assert index.remove(ids=[number]) == 1 and len(index) == 11
    assert middle.storage.files().keys() == after.keys()
    assert str(moved) not in index.storage.files()


def test_a_copy_and_a_file_put_in_anothers_place_are_embedded(index, photos):
    files = sorted(photos.rglob('*.png'))
    shutil.copy2(files[0], photos / 'copy.png')
    os.replace(files[1], files[2])
    change = index.sync(photos, workers=0)
    assert (change.added, change.removed, change.moved) == (2, 1, 0)
    assert index.search(files[2], k=1)[0].score == pytest.approx(1, abs=1e-5)
    cv2.imwrite(str(files[3]), picture(4, 4)[0])
    files[3].rename(photos / 'changed.png')
    change = index.sync(photos, workers=0)
    assert (change.added, change.removed, change.moved) == (1, 1, 0)


def test_a_kill_while_files_move_leaves_the_old_places(index, photos, tmp_path, monkeypatch):
    from dva_mm.retrieval import folder

    os.renames(photos / 'class_0', photos / 'roses')
    old = index.storage.files()

    def fail(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(folder, 'write_state', fail)
        index.sync(photos)
    for one in (index, Index.open(tmp_path / 'a.index')):
        assert one.storage.files() == old and len(one) == 12
    assert index.sync(photos).moved == 4


def test_what_lies_elsewhere_is_left_alone(index, photos, tmp_path):
    write_photos(tmp_path / 'more', 2)
    index.sync(tmp_path / 'more', workers=0)
    file = next((tmp_path / 'more').rglob('*.png'))
    file.rename(photos / 'class_0' / 'new.png')
    assert index.sync(photos, workers=0)[:3] == (1, 0, 12)
