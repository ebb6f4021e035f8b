"""DPT, Discrimination Perception Transfer: the object view teaches the original view.

That it is a distillation is the paper's, https://arxiv.org/abs/2506.16273; the three distances are
choices of this project (see docs/method.md). No gradient reaches the teacher.
"""

import math

import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from .moving_teacher import MovingTeacher


def dpt_kl(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean over the batch of ``T² · KL(softmax(l_t / T) || softmax(l_s / T))``.

    Args:
        student_logits: Logits l_s of the original view over the class proxies, (B, K).
        teacher_logits: Logits l_t of the discriminative view, (B, K).
        temperature: T. Defaults to 1.0.

    >>> import torch
    >>> dpt_kl(torch.zeros(2, 3), torch.zeros(2, 3)).item()
    0.0
    """
    log_student = F.log_softmax(student_logits / temperature, dim=1)
    log_teacher = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    divergence = F.kl_div(log_student, log_teacher, log_target=True, reduction='batchmean')
    return divergence * temperature**2


def dpt_l2(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared Euclidean distance of (B, C) embeddings, averaged over the batch.

    >>> import torch
    >>> dpt_l2(torch.ones(2, 3), torch.zeros(2, 3)).item()
    3.0
    """
    return (student - teacher.detach()).pow(2).sum(dim=1).mean()


def dpt_cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """One minus the cosine of (B, C) embeddings, averaged over the batch.

    >>> import torch
    >>> dpt_cosine(torch.ones(2, 3), -torch.ones(2, 3)).item()
    2.0
    """
    return (1 - F.cosine_similarity(student, teacher.detach(), dim=1)).mean()


@MODELS.register_module()
class DPTLoss(nn.Module):
    """Discrimination Perception Transfer.

    Args:
        mode: 'kl' on the logits over class proxies, 'l2' or 'cosine' on the embeddings.
            Defaults to 'kl'.
        temperature: T of 'kl', on top of the proxy loss's own temperature. Defaults to 1.0.
        momentum: Of a :class:`MovingTeacher`, which embeds the object's view once more; such as
            0.99. Defaults to None: the teacher is the model itself.
        patches: Weight w of a second term, ``w · dpt_cosine`` between the mean of the original
            view's patch tokens inside of the object's box and that of all patch tokens of the
            object's view, both by the model itself. Needs FrozenViT, OPA whose pipeline of the
            original view moves boxes (RandomCropFlip does), and ``box`` among the algorithm_keys
            of PackInputs. A choice of this project. Defaults to 0.0, without it.

    Raises:
        ValueError: if ``mode`` is unknown, ``temperature`` is not positive, ``momentum`` is not
            in [0, 1) or ``patches`` is no finite number of at least 0.

    >>> import torch
    >>> z, logits = torch.eye(2), torch.eye(2)
    >>> DPTLoss(mode='l2')(z, 0 * z, logits, logits).item()
    1.0
    """

    def __init__(
        self,
        mode: str = 'kl',
        temperature: float = 1.0,
        momentum: float | None = None,
        patches: float = 0.0,
    ) -> None:
        super().__init__()
        if mode not in ('kl', 'l2', 'cosine'):
            raise ValueError(f"DPTLoss mode must be 'kl', 'l2' or 'cosine', got {mode!r}")
        if temperature <= 0:
            raise ValueError(f'DPTLoss temperature must be positive, got {temperature}')
        if not isinstance(patches, int | float) or not 0 <= patches < math.inf:
            raise ValueError(f'DPTLoss patches is a weight of at least 0, got {patches!r}')
        self.mode, self.temperature = mode, temperature
        self.patches = patches
        self.teacher = None if momentum is None else MovingTeacher(momentum)

    def forward(
        self, student: Tensor, teacher: Tensor, student_logits: Tensor, teacher_logits: Tensor
    ) -> Tensor:
        """Embeddings (B, C) and logits (B, K) of original and discriminative view -> scalar."""
        if self.mode == 'kl':
            return dpt_kl(student_logits, teacher_logits, self.temperature)
        return (dpt_l2 if self.mode == 'l2' else dpt_cosine)(student, teacher)

    def of_patches(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The second term, of means of patch tokens (B, C) -> scalar; zero for no image."""
        if not len(student):
            return student.sum()
        return self.patches * dpt_cosine(student, teacher)
