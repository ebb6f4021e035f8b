import pytest
import torch.nn.functional as F

from dva_mm.export.check import compare, require_agreement

SAYS = dict(size=[8, 8], normalization=dict(channels='RGB', mean=[0.0] * 3, std=[1.0] * 3))


def embed(images):
    return F.normalize(images.flatten(1)[:, :5], dim=1)


def test_the_largest_difference_counts_of_batches_of_1_2_and_5():
    seen = []

    def run(images):
        seen.append(len(images))
        rows = embed(images)
        rows[-1] += 1e-3 * (len(images) == 5)
        return rows

    found = compare(run, embed, SAYS)
    assert seen == [1, 2, 5]
    assert found['max_difference'] == pytest.approx(1e-3, rel=1e-2)
    assert found['min_cosine'] < 1 and found['max_norm_error'] > 1e-4


@pytest.mark.parametrize('change', [lambda rows: rows[:1], lambda rows: rows.double()])
def test_another_shape_or_type_is_refused(change):
    with pytest.raises(ValueError, match='torch'):
        compare(lambda images: change(embed(images)), embed, SAYS)


@pytest.mark.parametrize(
    ('precision', 'found', 'agrees'),
    [
        ('fp32', dict(max_difference=9e-5), True),
        ('fp32', dict(max_difference=2e-4), False),
        ('fp32', dict(max_difference=float('nan')), False),
        ('fp16', dict(max_difference=0.01, min_cosine=0.9991), True),
        ('fp16', dict(min_cosine=0.998), False),
        ('int8', dict(max_difference=0.1, min_cosine=0.91), True),
        ('int8', dict(min_cosine=0.89), False),
        ('int8', dict(min_cosine=float('nan')), False),
        ('int8', dict(max_norm_error=0.01), False),
    ],
)
def test_each_precision_has_its_limit(precision, found, agrees):
    found = dict(max_difference=0.0, min_cosine=1.0, max_norm_error=0.0) | found
    if agrees:
        require_agreement(found, precision)
    else:
        with pytest.raises(ValueError, match=precision):
            require_agreement(found, precision)
