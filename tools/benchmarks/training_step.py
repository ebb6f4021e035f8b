"""A contender's training step: its time and its memory."""

import argparse
import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn as nn
from benchmarks.contenders import CONTENDERS, Samples
from torch import Tensor

from dva_mm.engine.speed import PRECISIONS, compile_encoder, disable_fused_attention


@dataclass
class Entry:
    """A contender of one mode and precision, built, and what was measured."""

    name: str
    mode: str
    precision: str
    model: nn.Module | None = None
    samples: Samples | None = None
    optimizer: torch.optim.Optimizer | None = None
    times: list[float] = field(default_factory=list)
    first: float = 0.0
    kept: int = 0
    peak: int | None = None
    memory: int = 0
    profile: dict = field(default_factory=dict)
    error: str = ''


class Bench:
    """Runs steps on the same images."""

    def __init__(self, args: argparse.Namespace, arch: str, size: int) -> None:
        self.args, self.arch, self.size = args, arch, size
        self.device = torch.device(args.device)
        self.images = torch.randn(args.batch, 3, size, size, device=self.device)
        alone = self.device.type == 'cpu' and args.threads == 1
        self.clock = time.process_time if alone else time.perf_counter

    def build(self, entry: Entry) -> None:
        torch.manual_seed(0)
        contender = CONTENDERS[entry.name]
        entry.model = contender.build(self.arch, self.size).to(self.device)
        entry.samples = contender.samples(entry.model, self.images)
        if entry.precision == 'bf16' and self.device.type == 'cpu':
            disable_fused_attention(entry.model)
        if entry.mode == 'compiled':
            compile_encoder(getattr(entry.model, 'backbone', entry.model))
        entry.first = self.step(entry)

    def forward(self, entry: Entry) -> Tensor | None:
        dtype = PRECISIONS[entry.precision]
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            forward = CONTENDERS[entry.name].forward
            return forward(entry.model, self.images.detach(), entry.samples)

    def now(self) -> float:
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        return self.clock()

    def step(self, entry: Entry) -> float:
        start = self.now()
        if (loss := self.forward(entry)) is not None:
            loss.backward()
            if self.args.optimizer:
                self.optimise(entry)
        seconds = self.now() - start
        entry.model.zero_grad(set_to_none=True)  # of others that wait, only weights and states lie
        return seconds

    def optimise(self, entry: Entry) -> None:
        if entry.optimizer is None:
            trained = [p for p in entry.model.parameters() if p.grad is not None]
            entry.optimizer = torch.optim.Adam(trained, lr=1e-6) if trained else None
        if entry.optimizer:
            entry.optimizer.step()

    def measure_memory(self, entry: Entry) -> None:
        own = {p.untyped_storage().data_ptr() for p in entry.model.parameters()}
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()  # an operator that kept its own result would keep itself alive

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = self.forward(entry)  # kept alive, so that no address is used twice
        trains = loss is not None
        del loss
        entry.kept = sum(kept.values())
        needed = entry.kept + trains * nbytes(
            p for p in entry.model.parameters() if p.requires_grad
        )
        if self.device.type == 'cuda':
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            self.step(entry)
            needed = entry.peak = torch.cuda.max_memory_allocated() - before
        states = entry.optimizer.state.values() if entry.optimizer else ()
        moments = [t for state in states for t in state.values() if isinstance(t, Tensor)]
        entry.memory = needed + nbytes(entry.model.parameters()) + nbytes(moments)

    @contextmanager
    def guard(self, entry: Entry) -> Iterator[None]:
        """Note that the memory did not suffice, and free what the contender held."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            entry.error = str(error).partition('. GPU')[0]  # what torch says, without its advice
        if entry.error:
            entry.model = entry.samples = entry.optimizer = None
            gc.collect()
            if self.device.type == 'cuda':
                torch.cuda.empty_cache()


def nbytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
