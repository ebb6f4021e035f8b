"""A teacher of DPT whose weights are the average of the student's over training."""

import torch
import torch.nn as nn
from torch import Tensor
from torch.func import functional_call


class MovingTeacher(nn.Module):
    """The exponential moving average of a model's trainable weights, as in Mean Teacher.

    For the weights w before each training step (of accumulated gradients: each batch), a = w in the
    first and later ``a = m a + (1 - m) w`` (https://arxiv.org/abs/1703.01780). That the teacher of
    DPT may be such an average is a choice of this project. Averages are buffers, so a checkpoint
    holds them; proxies are not averaged. The teacher is in the same mode as the model. MMEngine's
    ExponentialMovingAverage would copy the whole model, the frozen encoder and this teacher within.

    Args:
        momentum: m, in [0, 1); 0 is the model itself.

    Raises:
        ValueError: if ``momentum`` is out of range.

    >>> model = nn.Linear(2, 2)
    >>> teacher = MovingTeacher(momentum=0.9)
    >>> teacher.track(model)
    >>> teacher.update(model)
    >>> torch.equal(teacher.averages()['weight'], model.weight)
    True
    """

    def __init__(self, momentum: float) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f'the momentum of a teacher must be in [0, 1), got {momentum!r}')
        self.momentum = momentum
        self.register_buffer('started', torch.zeros(()))  # 1 after the first step

    def track(self, model: nn.Module) -> None:
        """Make room for the averages of what trains in the model, but for its head."""
        for name, weight in model.named_parameters():
            if weight.requires_grad and not name.startswith('head.'):
                self.register_buffer(name.replace('.', '/'), weight.detach().clone())

    def averages(self) -> dict[str, Tensor]:
        """The averages, by the names of the weights."""
        return {n.replace('/', '.'): a for n, a in self.named_buffers() if n != 'started'}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's weights into the averages; waits for no GPU."""
        weights = dict(model.named_parameters())
        share = 1 - self.momentum * self.started
        for name, average in self.averages().items():
            average.lerp_(weights[name].to(average.dtype), share.to(average.dtype))
        self.started.fill_(1)

    @torch.no_grad()
    def embed(self, model: nn.Module, images: Tensor) -> Tensor:
        """Unit-norm embeddings (B, C) of images (B, 3, H, W) by the model with averaged weights."""
        buffers = {n: b.clone() for n, b in model.named_buffers() if not n.startswith('head.')}
        state = buffers | self.averages()  # so that a norm's own statistics stay
        return functional_call(model, state, (images,), dict(mode='tensor'))
