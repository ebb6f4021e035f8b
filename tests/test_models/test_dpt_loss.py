from functools import partial

import pytest
import reference
import torch

from dva_mm.models.dpt_loss import DPTLoss, dpt_cosine, dpt_kl, dpt_l2


def pair(channels=5):
    """A student and a teacher, (4, channels) float64, both asking for gradients."""
    return [
        torch.randn(4, channels, dtype=torch.float64, requires_grad=True),
        2 * torch.randn(4, channels, dtype=torch.float64).requires_grad_(),
    ]


@pytest.mark.parametrize(
    ('function', 'twin'),
    [
        (dpt_kl, partial(reference.kl, temperature=1.0)),
        (partial(dpt_kl, temperature=4.0), partial(reference.kl, temperature=4.0)),
        (dpt_l2, reference.squared_l2),
        (dpt_cosine, reference.one_minus_cosine),
    ],
)
def test_values_and_gradients_are_those_of_the_twin(function, twin):
    student, teacher = pair()
    got, want = function(student, teacher), twin(student, teacher)
    assert got.ndim == 0 and got > 0.01
    torch.testing.assert_close(got, want)
    (got_gradient,) = torch.autograd.grad(got, student, retain_graph=True)
    (want_gradient,) = torch.autograd.grad(want, student)
    torch.testing.assert_close(got_gradient, want_gradient)
    assert torch.autograd.grad(got, teacher, allow_unused=True) == (None,)
    assert function(student, student).item() == pytest.approx(0, abs=1e-12)


def test_kl_survives_far_logits():
    student = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = dpt_kl(student, -student.detach())
    loss.backward()
    assert loss.item() == pytest.approx(400)
    assert student.grad.isfinite().all()


def test_the_module_takes_what_its_mode_compares():
    embeddings, logits = pair(5), pair(7)
    want = dict(kl=dpt_kl(*logits, 2.0), l2=dpt_l2(*embeddings), cosine=dpt_cosine(*embeddings))
    got = {mode: DPTLoss(mode, temperature=2.0)(*embeddings, *logits) for mode in want}
    assert got == want


@pytest.mark.parametrize('options', [dict(mode='mse'), dict(temperature=0)])
def test_mistakes_are_named(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f'{name} .*got {value!r}'):
        DPTLoss(**options)
