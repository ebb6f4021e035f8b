from unittest import mock

import pytest

from dva_mm.evaluation import entries
from dva_mm.evaluation.entries import order_entries


def entry(index, path=None, mark=None):
    return dict(sample_idx=index, img_path=path, mark=mark)


def marks(results, *args, **kwargs):
    return [kept['mark'] for kept in order_entries(results, *args, **kwargs)]


@pytest.fixture
def log():
    with mock.patch.object(entries, 'print_log') as log:
        yield log


def test_entries_are_sorted_and_the_first_of_each_image_stays(log):
    # 10 comes after 9, as a number.
    seen = [entry(10, mark='a'), entry(2, mark='b'), entry(10, mark='c'), entry(9, mark='d')]
    assert marks(seen, 3) == marks(seen, None) == ['b', 'd', 'a']
    log.assert_not_called()


def test_parts_of_a_concatenated_data_set_are_kept_apart(log):
    seen = [entry(i, f'{name}/{i}.jpg', f'{name}{i}') for name in 'ba' for i in (1, 0)]
    assert marks([*seen, *seen], 4) == ['a0', 'b0', 'a1', 'b1']
    with pytest.raises(ValueError, match="sample_idx 0 .* 'a/0.jpg' .* 'b/0.jpg'"):
        order_entries(seen, 4, unique=True)
    assert marks([*seen[:2], *seen[:2]], 2, unique=True) == ['b0', 'b1']
    log.assert_not_called()


@pytest.mark.parametrize('missing', [0, 2])
def test_without_every_index_the_first_ones_are_taken_as_they_come(log, missing):
    seen = [entry(i, mark=i) for i in (3, 1, 0, 3)]
    seen[missing]['sample_idx'] = None
    assert marks(seen, 3) == [3, 1, 0]
    assert marks(seen, None) == [3, 1, 0, 3]
    log.assert_not_called()
