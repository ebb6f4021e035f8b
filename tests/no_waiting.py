"""What makes a host wait for its GPU, found without one."""

from torch import Tensor
from torch.overrides import TorchFunctionMode

READS = {Tensor.item, Tensor.tolist, Tensor.cpu, Tensor.numpy, Tensor.nonzero} | {
    getattr(Tensor, f'__{kind}__') for kind in ('bool', 'float', 'int', 'index', 'array')
}


class Watch(TorchFunctionMode):
    """Notes each reading of a tensor's values, and each list that is taken for an index."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        index = args[1] if func is Tensor.__getitem__ else ()
        index = index if isinstance(index, tuple) else (index,)
        if func in READS or any(isinstance(part, list) for part in index):
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))
