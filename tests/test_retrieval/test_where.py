import warnings

import pytest

from dva_mm.retrieval import Index
from dva_mm.retrieval.where import check_where


@pytest.fixture
def index(retriever, photos, tmp_path):
    files = sorted(photos.rglob('*.png'))
    labels = [file.parent.name for file in files]
    extra = [dict(camera='X100', shelf=number) for number in range(len(files))]
    out = tmp_path / 'a.index'
    return Index.build(retriever, files, out, labels=labels, metadata=extra, workers=0)


def test_an_unknown_key_is_refused_and_the_nearest_named(index):
    for work in (
        lambda where: index.search(0, where=where),
        lambda where: index.remove(where=where),
    ):
        with pytest.raises(ValueError, match="'camra'.*camera"):
            work(dict(camra='X100'))
    with pytest.raises(ValueError, match='rose'):
        index.search(0, where='rose')
    assert len(index) == 12


def test_an_unknown_value_is_a_warning_and_refused_where_it_was_typed(index):
    with pytest.warns(UserWarning, match="'clas_1'.*class_1") as caught:
        assert index.search(0, where=dict(label='clas_1')) == []
        assert index.remove(where=dict(label='clas_1')) == 0
    assert [warning.filename for warning in caught] == [__file__] * 2
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for where in (
            dict(label=['clas_1', 'class_1']),
            dict(shelf=3, camera='X100'),
            {'label': []},
        ):
            index.search(0, where=where)
            check_where(index.storage, where, strict=True)
    for where, named in ((dict(label='x'), 'class_0, class_1'), (dict(shelf='low'), '4 more')):
        with pytest.raises(ValueError, match=named):
            check_where(index.storage, where, strict=True)
    index.remove(where=dict(label='class_0'))  # what is removed is no longer there
    with pytest.raises(ValueError, match='class_0'):
        check_where(index.storage, dict(label='class_0'), strict=True)


def test_no_labels_at_all(retriever, photos, tmp_path):
    index = Index.build(retriever, photos, tmp_path / 'b.index', workers=0)
    with pytest.raises(ValueError, match='label'):
        check_where(index.storage, dict(label='rose'), strict=True)
    with pytest.raises(ValueError, match='absent.jpg'):
        check_where(index.storage, dict(path='absent.jpg'), strict=True)
