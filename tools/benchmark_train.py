"""Time and memory of training steps beside the encoder's own and what else a user might train.

python tools/benchmark_train.py --models deit_tiny_patch16_224:128 --batch 16
python tools/benchmark_train.py --precision fp32 bf16 --contenders bare floor ica full
python tools/benchmark_train.py --device cuda --precision bf16 --batch 32 --models \
vit_base_patch16_224:224

A step is a forward, a sum of squares of the embeddings (of DVA its own loss) and a backward; no
optimiser. Weights are random. All contenders run in turn in this process, --rounds times after one
warm-up; each line has the median time, its quartiles, and the median over rounds of its ratio to
the bare forward, to the floor and to ICA of the same mode, precision and round, and to itself in
the first mode and precision. On a CPU bf16 is without fused attention, as in training. With one
thread on a CPU the time is
the processor time of this process, which other programs lengthen little; else it is the clock's.

Memory is what a forward keeps for the backward, without parameters; on a GPU also the peak above
what lay there before. First is the first step's time, which compiles.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import timm
import torch
import torch.nn as nn
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

import dva_mm
from dva_mm.datasets import TokenOPA
from dva_mm.engine.speed import PRECISIONS, compile_encoder, disable_fused_attention
from dva_mm.models import DVARetriever, FrozenViT
from dva_mm.screen import quieten

CLASSES = 100
COLUMNS = ('bare', 'floor', 'ica', 'itself')


def moved(model: nn.Module) -> nn.Module:
    for name, parameter in model.named_parameters():
        if any(part in name for part in ('_up.', '.up.', 'lora_B')):  # no longer zero
            nn.init.normal_(parameter, std=0.01)
    return model


def frozen(arch: str, size: int, tuning: dict | None) -> nn.Module:
    return moved(FrozenViT(arch, pretrained=False, img_size=size, tuning=tuning))


def plain_timm(arch: str, size: int) -> nn.Module:
    return timm.create_model(arch, num_classes=0, img_size=size)


def mmpretrain_lora(arch: str, size: int) -> nn.Module:
    vit = plain_timm(arch, size)
    shape = dict(
        embed_dims=vit.embed_dim,
        num_layers=len(vit.blocks),
        num_heads=vit.blocks[0].attn.num_heads,
        feedforward_channels=vit.blocks[0].mlp.fc1.out_features,
    )
    patch = vit.patch_embed.patch_size[0]
    module = dict(type='VisionTransformer', arch=shape, img_size=size, patch_size=patch)
    config = dict(type='LoRAModel', module=module, rank=16, alpha=16, targets=[dict(type='qkv')])
    return moved(MODELS.build(config))


def embed(encoder: nn.Module, images: Tensor) -> Tensor:
    out = encoder(images)
    return out[-1] if isinstance(out, list | tuple) else out


def no_graph(model: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        embed(model, images)


def to_weights(model: nn.Module, images: Tensor) -> Tensor:
    return embed(model, images).float().square().sum()


def to_inputs(model: nn.Module, images: Tensor) -> Tensor:
    return to_weights(model, images.requires_grad_())


def three_times(model: nn.Module, images: Tensor) -> Tensor:
    return to_weights(model, images.repeat(3, 1, 1, 1))


def dva(model: DVARetriever, images: Tensor) -> Tensor:
    samples = [DataSample().set_gt_label(i % CLASSES).to(images.device) for i in range(len(images))]
    return sum(model.loss([images] * 3, samples).values())


def by_tokens(model: DVARetriever, images: Tensor) -> Tensor:
    options = dict(size=images.shape[-1], patch_size=model.backbone.patch_size)
    opa, blank = TokenOPA(**options), np.zeros((*images.shape[-2:], 3), np.uint8)
    samples = []
    for i in range(len(images)):
        chosen = opa(dict(img=blank, box=[images.shape[-1] * x for x in (0.2, 0.2, 0.8, 0.8)]))
        sample = DataSample().set_gt_label(i % CLASSES).to(images.device)
        for name in ('object_patches', 'background_patches', 'patch_grid'):
            sample.set_field(chosen[name], name)
        samples.append(sample)
    return sum(model.loss(images, samples).values())


@dataclass
class Contender:
    """What is built, and its forward, which gives the loss, or None where there is no backward."""

    title: str
    build: Callable[[str, int], nn.Module]
    forward: Callable[[nn.Module, Tensor], Tensor | None]


def tuned(title: str, forward: Callable = to_weights, **tuning: object) -> Contender:
    return Contender(title, lambda arch, size: frozen(arch, size, tuning or None), forward)


def retriever(arch: str, size: int) -> nn.Module:
    backbone = dict(type='FrozenViT', arch=arch, pretrained=False, img_size=size)
    return moved(DVARetriever(backbone, head=dict(type='DVAHead', num_classes=CLASSES)))


CONTENDERS = dict(
    timm=Contender('timm, forward', lambda arch, size: plain_timm(arch, size).eval(), no_graph),
    bare=tuned('bare encoder, forward', no_graph),
    ica_forward=tuned('ICA, forward', no_graph, type='ICA'),
    floor=tuned('floor: to the inputs', to_inputs),
    ica=tuned('ICA', type='ICA'),
    dva=Contender('DVA, three views', retriever, dva),
    tokens=Contender('DVA, token-level OPA', retriever, by_tokens),
    ica_3=tuned('ICA, images of three views', three_times, type='ICA'),
    lora=tuned('LoRA r=16, peft', type='LoRA', rank=16),
    mmpretrain=Contender('LoRA r=16, LoRAModel', mmpretrain_lora, to_weights),
    adaptformer=tuned('AdaptFormer', type='AdaptFormer'),
    full=tuned('full fine-tuning', type='Full'),
)


@dataclass
class Entry:
    """A contender of one mode and precision, built, and what was measured."""

    name: str
    mode: str
    precision: str
    model: nn.Module
    times: list[float] = field(default_factory=list)
    first: float = 0.0
    kept: int = 0
    peak: int | None = None


class Bench:
    """Runs steps on the same images."""

    def __init__(self, args: argparse.Namespace, size: int) -> None:
        self.device = torch.device(args.device)
        self.images = torch.randn(args.batch, 3, size, size, device=self.device)
        alone = self.device.type == 'cpu' and args.threads == 1
        self.clock = time.process_time if alone else time.perf_counter

    def forward(self, entry: Entry) -> Tensor | None:
        dtype = PRECISIONS[entry.precision]
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            return CONTENDERS[entry.name].forward(entry.model, self.images.detach())

    def now(self) -> float:
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        return self.clock()

    def step(self, entry: Entry) -> float:
        start = self.now()
        entry.model.zero_grad(set_to_none=True)
        if (loss := self.forward(entry)) is not None:
            loss.backward()
        return self.now() - start

    def measure_memory(self, entry: Entry) -> None:
        own = {p.untyped_storage().data_ptr() for p in entry.model.parameters()}
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = self.forward(entry)  # kept alive, so that no address is used twice
        del loss
        entry.kept = sum(kept.values())
        if self.device.type == 'cuda':
            entry.model.zero_grad(set_to_none=True)
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            self.step(entry)
            entry.peak = torch.cuda.max_memory_allocated() - before


def compare(arch: str, size: int, args: argparse.Namespace) -> list[dict]:
    """Measure all contenders on one encoder; one row each."""
    bench, entries = Bench(args, size), []
    for mode, precision in product(args.modes, args.precision):
        for name in args.contenders:
            torch.manual_seed(0)
            model = CONTENDERS[name].build(arch, size).to(bench.device)
            entry = Entry(name, mode, precision, model)
            if precision == 'bf16' and args.device == 'cpu':
                disable_fused_attention(model)
            if mode == 'compiled':
                compile_encoder(getattr(entry.model, 'backbone', entry.model))
            entry.first = bench.step(entry)
            bench.measure_memory(entry)
            entries.append(entry)
    for _ in range(args.rounds):
        for entry in entries:
            entry.times.append(bench.step(entry))
    fixed = dict(model=f'{arch}:{size}', batch=args.batch, device=args.device)
    return [row(entry, entries, fixed) for entry in entries]


def row(entry: Entry, entries: Sequence[Entry], fixed: dict) -> dict:
    found = dict(fixed, mode=entry.mode, precision=entry.precision, contender=entry.name)
    found |= dict(seconds=median(entry.times))
    low, _, high = quantiles(entry.times, n=4) if len(entry.times) > 1 else 3 * entry.times
    found |= dict(quartiles=[low, high], first=entry.first, kept=entry.kept, peak=entry.peak)
    others = {}
    for other in entries:
        if (other.mode, other.precision) == (entry.mode, entry.precision):
            others[other.name] = other
        if other.name == entry.name:
            others.setdefault('itself', other)
    for name in ('bare', 'floor', 'ica', 'ica_3', 'itself'):
        if name in others:
            pairs = zip(entry.times, others[name].times, strict=True)
            found[f'to_{name}'] = median(one / two for one, two in pairs)
    return found


def line(found: dict) -> str:
    ratios = (found.get(f'to_{name}', float('nan')) for name in COLUMNS)
    low, high = (1000 * value for value in found['quartiles'])
    peak = '' if found['peak'] is None else f' {found["peak"] / 1e6:8.1f} MB'
    return (
        f'{CONTENDERS[found["contender"]].title:28} {found["mode"]:8} {found["precision"]} '
        f'{1000 * found["seconds"]:8.1f} ms ({low:.1f}-{high:.1f})'
        f'{"".join(f"{ratio:7.2f}" for ratio in ratios)} {found["kept"] / 1e6:8.1f} MB{peak} '
        f'{found["first"]:7.1f} s'
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models = dict(default=['deit_tiny_patch16_224:128'], help='timm name:pixels')
    parser.add_argument('--models', nargs='+', **models)
    parser.add_argument('--batch', type=int, default=16, help='images of a view')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--precision', nargs='+', choices=[*PRECISIONS], default=['fp32'])
    parser.add_argument('--modes', nargs='+', choices=['eager', 'compiled'], default=['eager'])
    parser.add_argument('--contenders', nargs='+', choices=[*CONTENDERS], default=[*CONTENDERS])
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, default=1, help="torch's threads on a CPU")
    parser.add_argument('--json', type=Path, help='file for the rows, one JSON object a line')
    args = parser.parse_args(argv)
    if min(args.batch, args.rounds, args.threads) < 1:
        parser.error('--batch, --rounds and --threads must be positive')
    dva_mm.register()
    quieten(MMLogger.get_current_instance())  # of mmpretrain's initialisation
    torch.set_num_threads(args.threads)
    rows = []
    for model in args.models:
        arch, _, size = model.partition(':')
        print(f'{model}, batch {args.batch}, {args.device}')
        print(f'{"":42} median (quartiles), / bare, / floor, / ICA, / itself, kept, (peak), first')
        for found in compare(arch, int(size or 224), args):
            rows.append(found)
            print(line(found), flush=True)
            if found['contender'] == 'dva' and 'to_ica_3' in found:
                print(f'  outside of the encoder: {1 - 1 / found["to_ica_3"]:.1%} of the step')
    if args.json:
        args.json.write_text(''.join(json.dumps(found) + '\n' for found in rows))


if __name__ == '__main__':
    main()
