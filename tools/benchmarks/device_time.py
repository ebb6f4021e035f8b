"""Where the time of a device goes, by torch's profiler."""

import re
import time
from collections.abc import Callable, Iterable

import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent, FunctionEventAvg
from torch.profiler import ProfilerActivity, profile

PRODUCT = re.compile(
    r'^aten::_?((add)?(mm|mv|bmm)_?|baddbmm_?|addmm_activation|scaled_mm)$'
    r'|convolution|_scaled_dot_product|_(flash|efficient|cudnn)_attention'
    r'|linear_pointwise|_mkl_linear'  # compiled for a CPU
)
"""Names of ATen's matrix products, of which fused attention is one."""


def is_product(name: str) -> bool:
    return bool(PRODUCT.search(name))


def profiled(run: Callable[[], object], *activities: ProfilerActivity) -> tuple[profile, float]:
    """Run under the profiler; the profile, and the seconds on the clock until a GPU is done."""
    cuda = ProfilerActivity.CUDA in activities
    with profile(activities=activities) as found:
        begun = _now(cuda)
        run()
        seconds = _now(cuda) - begun
    return found, seconds


def _now(cuda: bool) -> float:
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def shares(times: dict[str, float], total: float) -> dict:
    """Of times by operator: the share of matrix products, and the five largest others.

    Args:
        times: Time of each operator's own kernels.
        total: Of all kernels, with those that no operator launched.
    """
    total = max(total, 1e-9)
    others = sorted(
        ((name, spent / total) for name, spent in times.items() if not is_product(name)),
        key=lambda pair: -pair[1],
    )
    products = sum(spent for name, spent in times.items() if is_product(name))
    return dict(products=products / total, others=others[:5])


def profile_step(device: torch.device, step: Callable[[], object], steps: int = 3) -> dict:
    """:func:`shares` of some steps: of the kernels' time on a GPU, of the processor's on a CPU."""
    kinds = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * (device.type == 'cuda')]
    found, _ = profiled(lambda: [step() for _ in range(steps)], *kinds)
    events = found.key_averages()
    operators = [event for event in events if event.device_type == DeviceType.CPU]
    if device.type == 'cpu':
        times = {event.key: event.self_cpu_time_total for event in operators}
        return shares(times, sum(times.values()))
    times = {event.key: event.self_device_time_total for event in operators}
    kernels = (event for event in events if is_on_gpu(event))
    return shares(times, sum(event.self_device_time_total for event in kernels))


def is_on_gpu(event: FunctionEvent | FunctionEventAvg) -> bool:
    """Whether the GPU was at work; a range that the program names is no work."""
    return event.device_type == DeviceType.CUDA and not event.is_user_annotation


def union(intervals: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals (start, end)."""
    length, reached = 0.0, float('-inf')
    for start, end in sorted(intervals):
        length += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return length


def idle_share(run: Callable[[], object]) -> tuple[float, float]:
    """The share of a run's time in which no CUDA kernel ran, and its seconds on the clock."""
    found, seconds = profiled(run, ProfilerActivity.CUDA)
    return 1 - busy_seconds(found.events()) / seconds, seconds


def busy_seconds(events: Iterable[FunctionEvent]) -> float:
    """Seconds in which at least one CUDA kernel ran; copies do not count."""
    return 1e-6 * union(
        (event.time_range.start, event.time_range.end)
        for event in events
        if is_on_gpu(event) and not event.name.startswith(('Memcpy', 'Memset'))
    )
