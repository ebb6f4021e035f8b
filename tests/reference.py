"""The method's formulas, written slowly: one sample and one class at a time.

All of it takes float64 tensors and is differentiable, so that gradients can be compared too.
"""

import math

import torch
from torch import Tensor


def activation(x: Tensor, act: str | None) -> Tensor:
    if act == 'GELU':
        return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    return torch.where(x > 0, x, torch.zeros_like(x)) if act == 'ReLU' else x


def ica(x: Tensor, frozen: Tensor, bias: Tensor, down: Tensor, up: Tensor, act, scale) -> Tensor:
    """One of Q and K: (N, C) tokens, frozen (D, C), bias (D,), down (r, C), up (D, r) -> (N, D)."""
    rows = []
    for token in x:
        hidden = activation(torch.stack([row @ token for row in down]), act)
        rows.append(frozen @ token + bias + scale * (up @ hidden))
    return torch.stack(rows)


def unit(vector: Tensor) -> Tensor:
    return vector / torch.sqrt((vector * vector).sum())


def logits(embedding: Tensor, proxies: Tensor, tau: float) -> list[Tensor]:
    """Cosine of one embedding (C,) to each proxy (K, C), over the temperature."""
    return [(unit(embedding) * unit(proxy)).sum() / tau for proxy in proxies]


def softmax(values: list[Tensor]) -> list[Tensor]:
    total = sum(torch.exp(value) for value in values)
    return [torch.exp(value) / total for value in values]


def proxy_loss(
    embeddings: Tensor, labels: Tensor, proxies: Tensor, tau: float, smoothing: float = 0.0
) -> Tensor:
    """Mean over the images of -sum_k t_k log softmax(z P^T / tau)[k].

    t is 1 for the image's class and 0 for the others; a share of it is spread over all.
    """
    total = 0
    for embedding, label in zip(embeddings, labels, strict=True):
        for k, share in enumerate(softmax(logits(embedding, proxies, tau))):
            target = (1 - smoothing) * (k == int(label)) + smoothing / len(proxies)
            total = total - target * torch.log(share)
    return total / len(embeddings)


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Mean over the images of T^2 sum_k t_k log(t_k / s_k), from (B, K) logits."""
    total = 0
    for s_row, t_row in zip(student, teacher, strict=True):
        s = softmax([value / temperature for value in s_row])
        t = softmax([value.detach() / temperature for value in t_row])
        total = total + sum(p * torch.log(p / q) for p, q in zip(t, s, strict=True))
    return temperature**2 * total / len(student)


def squared_l2(student: Tensor, teacher: Tensor) -> Tensor:
    total = sum(((s - t.detach()) ** 2).sum() for s, t in zip(student, teacher, strict=True))
    return total / len(student)


def one_minus_cosine(student: Tensor, teacher: Tensor) -> Tensor:
    total = sum(1 - unit(s) @ unit(t.detach()) for s, t in zip(student, teacher, strict=True))
    return total / len(student)


def dva_terms(
    original: Tensor,
    discriminative: Tensor,
    background: Tensor,
    labels: Tensor,
    background_labels: Tensor,
    proxies: Tensor,
    tau: float,
    beta: float,
    temperature: float,
    mode: str,
    smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """The four terms of the loss, each under the name that the head reports."""
    z = torch.stack([unit(row) for row in original])
    z_d = torch.stack([unit(row) for row in discriminative])
    if mode == 'kl':
        student = torch.stack([torch.stack(logits(row, proxies, tau)) for row in z])
        teacher = torch.stack([torch.stack(logits(row, proxies, tau)) for row in z_d])
        transfer = kl(student, teacher, temperature)
    else:
        transfer = squared_l2(z, z_d) if mode == 'l2' else one_minus_cosine(z, z_d)
    return dict(
        loss_proxy=proxy_loss(original, labels, proxies, tau, smoothing),
        loss_discriminative=proxy_loss(discriminative, labels, proxies, tau, smoothing),
        loss_background=proxy_loss(background, background_labels, proxies, tau),
        loss_dpt=beta * transfer,
    )
