"""All classes of the batch, and each other class as likely."""

import pytest
import torch

from dva_mm.models import sample_classes

CLASSES = 12


@pytest.mark.parametrize(
    ('labels', 'rate', 'count'),
    [
        ([5], 0.25, 3),
        ([11, 0, 11, 0], 0.5, 6),
        ([0, 1, 2, 3], 0.25, 4),
        ([7], 0.01, 1),
        ([7], 1, 12),
    ],
)
def test_the_classes_of_the_batch_and_others_up_to_the_share(labels, rate, count):
    drawn = sample_classes(torch.tensor(labels), CLASSES, rate)
    assert drawn.dtype == torch.int64 and len(drawn) == count
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    assert set(labels) <= set(drawn.tolist()) <= set(range(CLASSES))


def test_the_labels_alone_decide():
    """Whatever the global random state, which the drawing leaves as it is."""
    labels = torch.tensor([700, 3])
    state = torch.random.get_rng_state()
    drawn = sample_classes(labels, 1000, 0.1)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(sample_classes(labels, 1000, 0.1), drawn)
    other = sample_classes(labels.flip(0), 1000, 0.1)  # the same classes in another order
    assert len(set(other.tolist()) & set(drawn.tolist())) < 50


def test_each_negative_is_as_likely():
    """Over many batches of the classes 2 and 9, which differ by the order of their images."""
    batches = [2 + 7 * torch.randint(2, (24,)) for _ in range(3000)]
    drawn = torch.stack([sample_classes(labels, CLASSES, 0.5) for labels in batches])
    shares = drawn.flatten().bincount(minlength=CLASSES) / len(batches)
    assert shares[2] == shares[9] == 1
    negatives = shares[[k for k in range(CLASSES) if k not in (2, 9)]]
    # Four of ten; the standard deviation of a share is 0.009.
    torch.testing.assert_close(negatives, torch.full((10,), 0.4), rtol=0, atol=0.045)
