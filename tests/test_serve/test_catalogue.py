"""An index as a page shows it."""

import shutil

import numpy as np
import pytest
from PIL import Image
from serving import HOSTILE, LABELS, pair, texture

from dva_mm.retrieval import Index
from dva_mm.serve.catalogue import Catalogue
from dva_mm.serve.pictures import cut_region


@pytest.fixture
def own(textures, tmp_path):
    """A copy of the index and of its pictures, that a test may change."""
    photos = tmp_path / 'deep' / 'photos'
    shutil.copytree(textures.storage.folder.parent / 'photos', photos)
    location, options = tmp_path / 'own.index', dict(labels='folder', workers=0)
    index = Index.build(textures.retriever, photos, location, **options)
    yield Catalogue(index), photos
    index.close()


def by_name(catalogue: Catalogue) -> dict[str, int]:
    ids = [i for ids, _ in catalogue.index.storage.blocks() for i in ids.tolist()]
    return {catalogue.name(catalogue.item(number)): number for number in ids}


def test_names_labels_and_examples(textures):
    catalogue = Catalogue(textures)
    assert catalogue.labels == dict.fromkeys(sorted(LABELS), 5)
    names = by_name(catalogue)
    assert f'{HOSTILE}/0{HOSTILE}.png' in names and 'red/4.png' in names and len(names) == 15
    assert {catalogue.item(number).label for number in catalogue.examples} == set(LABELS)


def test_answers_are_those_of_the_index_without_the_query_itself(textures):
    catalogue = Catalogue(textures)
    number = by_name(catalogue)['green/2.png']
    hits = catalogue.search(number, 6, without=number)
    assert hits == textures.search(number, 6, exclude_self=True)
    region = cut_region(pair(), (0.5, 0, 1, 1))
    first = catalogue.search(region, 1)[0]
    assert first.id == number and first.score == pytest.approx(1, abs=1e-5)
    again = catalogue.search(region, 15, labels=['green', 'red'], without=number)
    assert [hit.rank for hit in again] == list(range(1, 10))
    assert {hit.label for hit in again} == {'green', 'red'} and number not in {h.id for h in again}
    assert catalogue.search(number, 5, labels=['none of them']) == []


def test_no_other_file_than_the_one_that_was_indexed_is_opened(own, tmp_path):
    catalogue, photos = own
    names = by_name(catalogue)
    secret = tmp_path / 'secret.png'
    Image.fromarray(texture(2, 7)).save(secret)
    assert catalogue.picture(names['red/0.png'], 99).startswith('data:image/jpeg')
    (photos / 'red' / '0.png').unlink()
    (photos / 'red' / '0.png').symlink_to(secret)
    (photos / 'red' / '1.png').write_bytes(secret.read_bytes())
    (photos / 'red' / '2.png').unlink()
    for name in ('red/0.png', 'red/1.png', 'red/2.png'):
        assert catalogue.picture(names[name], 99) is None
        with pytest.raises(ValueError, match=name) as caught:
            catalogue.pixels(names[name])
        assert str(tmp_path) not in str(caught.value)
    np.testing.assert_array_equal(catalogue.pixels(names['red/3.png']), texture(0, 3))


@pytest.mark.parametrize('number', [10**30, -1, True, 1.0, '1', None, [1], '/etc/passwd'])
def test_what_is_no_id_is_refused(textures, number):
    with pytest.raises(ValueError, match='no image'):
        Catalogue(textures).item(number)


def test_a_change_of_the_index_is_shown(own, textures):
    catalogue, photos = own
    (photos / 'blue').mkdir()
    Image.fromarray(texture(2, 6)).save(photos / 'blue' / 'new.png')
    with Index.open(catalogue.index.storage.folder, textures.retriever) as writer:
        writer.sync(photos, workers=0)
    assert 'blue' not in catalogue.labels
    catalogue.refresh()
    assert catalogue.labels['blue'] == 1 and 'blue/new.png' in by_name(catalogue)


def test_images_from_memory_have_a_name_and_no_picture(textures, tmp_path):
    images = [texture(0, 0), texture(1, 0)]
    with Index.build(textures.retriever, images, tmp_path / 'i', workers=0) as index:
        catalogue = Catalogue(index)
        assert catalogue.examples == [] and catalogue.labels == {}
        hit = catalogue.search(0, 1, without=0)[0]
        assert catalogue.name(hit) == 'image 1' and catalogue.picture(1, 99) is None


def test_names_that_are_no_text_are_escaped(textures, tmp_path):
    folder = tmp_path / 'photos'
    folder.mkdir()
    Image.fromarray(texture(0, 0)).save(folder / 'a.png')
    (folder / 'a.png').rename(folder / b'\xff.png'.decode(errors='surrogateescape'))
    with Index.build(textures.retriever, folder, tmp_path / 'i', workers=0) as index:
        assert list(by_name(Catalogue(index))) == ['\\xff.png']
