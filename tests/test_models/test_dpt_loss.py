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


def compare(function, twin):
    """Values and student gradients agree, and the teacher gets no gradient."""
    student, teacher = pair()
    got, want = function(student, teacher), twin(student, teacher)
    assert got.ndim == 0 and got > 0.01
    torch.testing.assert_close(got, want)
    (got_gradient,) = torch.autograd.grad(got, student, retain_graph=True)
    (want_gradient,) = torch.autograd.grad(want, student)
    torch.testing.assert_close(got_gradient, want_gradient)
    assert torch.autograd.grad(got, teacher, allow_unused=True) == (None,)


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_kl(temperature):
    compare(lambda s, t: dpt_kl(s, t, temperature), lambda s, t: reference.kl(s, t, temperature))


def test_l2():
    compare(dpt_l2, reference.squared_l2)


def test_cosine():
    compare(dpt_cosine, reference.one_minus_cosine)


@pytest.mark.parametrize('function', [dpt_kl, dpt_l2, dpt_cosine])
def test_a_student_like_its_teacher_loses_nothing(function):
    student, _ = pair()
    assert function(student, student).item() == pytest.approx(0, abs=1e-12)


def test_kl_survives_far_logits():
    student = torch.tensor([[200.0, -200.0]], requires_grad=True)
    teacher = torch.tensor([[-200.0, 200.0]])
    loss = dpt_kl(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(400)
    assert student.grad.isfinite().all()


@pytest.mark.parametrize('mode', ['kl', 'l2', 'cosine'])
def test_the_module_takes_what_its_mode_compares(mode):
    embeddings, logits = pair(5), pair(7)
    want = dict(kl=dpt_kl(*logits, 2.0), l2=dpt_l2(*embeddings), cosine=dpt_cosine(*embeddings))[
        mode
    ]
    assert DPTLoss(mode, temperature=2.0)(*embeddings, *logits) == want


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="'kl', 'l2' or 'cosine', got 'mse'"):
        DPTLoss('mse')
    with pytest.raises(ValueError, match='temperature must be positive, got 0'):
        DPTLoss(temperature=0)
