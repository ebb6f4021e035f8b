"""tools/benchmarks/device_time.py: what counts as a matrix product, and when a GPU was busy."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.autograd import DeviceType

FILE = Path(__file__).resolve().parents[2] / 'tools' / 'benchmarks' / 'device_time.py'


@pytest.fixture(scope='module')
def tool() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(FILE)))


def test_matrix_products_are_known_by_their_names(tool):
    attention = ('flash_attention', 'efficient_attention_backward')
    products = [
        *('mm', 'addmm', 'addmm_', 'bmm', 'baddbmm', 'addbmm', 'mv', '_scaled_mm', 'convolution'),
        *('cudnn_convolution', 'mkldnn_convolution', 'convolution_backward'),
    ]
    products += [f'_{name}' for name in attention]
    products += [f'_scaled_dot_product_{name}' for name in attention]
    others = [
        *('mul', 'add', 'add_', 'addcmul', 'copy_', 'gelu', 'softmax', '_softmax', 'dot_'),
        *('native_layer_norm', 'sum', '_efficientzerotensor'),
    ]
    assert all(tool.is_product(f'aten::{name}') for name in products)
    assert not any(tool.is_product(f'aten::{name}') for name in others)
    assert not tool.is_product('triton_poi_fused_addmm_0')  # elementwise, beside a product


def test_what_torch_calls_its_products_is_among_them(tool):
    """Every operator of these functions that takes time of more than bookkeeping."""
    x, image = torch.randn(64, 64, requires_grad=True), torch.randn(1, 3, 32, 32)
    heads = torch.randn(1, 2, 64, 16)

    def step() -> None:
        torch.nn.functional.conv2d(image, torch.ones(8, 3, 16, 16), stride=16)
        torch.nn.functional.linear(x, x, x[0]).sum().backward()
        torch.nn.functional.scaled_dot_product_attention(heads, heads, heads)
        torch.bmm(heads[0], heads[0].mT)

    found, _ = tool.profiled(step, torch.profiler.ProfilerActivity.CPU)
    named = {event.key for event in found.key_averages() if tool.is_product(event.key)}
    for part in ('addmm', '::mm', '::bmm', 'convolution', '_scaled_dot_product'):
        assert any(part in name for name in named), part


def test_shares_are_of_the_total_and_the_largest_others_come_first(tool):
    times = {'aten::mm': 30.0, 'aten::bmm': 20.0} | {f'op{i}': float(i) for i in range(8)}
    found = tool.shares(times, total=100.0)
    assert found['products'] == 0.5
    assert found['others'] == [(f'op{i}', i / 100) for i in (7, 6, 5, 4, 3)]


def kernel(name: str, start: float, end: float, **changed: object) -> SimpleNamespace:
    time_range = SimpleNamespace(start=start, end=end)
    fields = dict(device_type=DeviceType.CUDA, is_user_annotation=False, time_range=time_range)
    return SimpleNamespace(name=name, **fields | changed)


def test_the_union_of_intervals_is_that_of_their_points(tool):
    rng = np.random.default_rng(0)
    for _ in range(20):
        starts, lengths = rng.integers(0, 50, 12), rng.integers(0, 9, 12)
        intervals = [*zip(starts.tolist(), (starts + lengths).tolist(), strict=True)]
        points = {point for a, b in intervals for point in range(a, b)}
        assert tool.union(intervals) == len(points)
    assert tool.union([]) == 0


def test_a_gpu_is_busy_while_a_kernel_runs(tool):
    events = [
        kernel('gemm', 0, 2e6),
        kernel('softmax', 1e6, 3e6),
        kernel('Memcpy HtoD', 3e6, 5e6),
        kernel('Memset', 3e6, 5e6),
        kernel('Optimizer.step', 0, 9e6, is_user_annotation=True),
        kernel('aten::mm', 0, 9e6, device_type=DeviceType.CPU),
    ]
    assert tool.busy_seconds(events) == pytest.approx(3.0)
