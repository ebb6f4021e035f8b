"""The command ``dva-mm export``."""

import argparse
from collections.abc import Sequence

EXPORT = """\
Write a model as one file, .onnx or .pt2 (of torch.export), that runs without the code of its
encoder. The file is compared with torch before it appears."""


def main(argv: Sequence[str] | None = None) -> int:
    """Export a model: ``dva-mm export CONFIG [CHECKPOINT] --out model.onnx``.

    Args:
        argv: The arguments; see ``dva-mm export -h``. Defaults to None: the command line's.

    Returns:
        Exit status, 0.

    Raises:
        ValueError, FileNotFoundError, ImportError: After a user's mistake.
    """
    parser = argparse.ArgumentParser('dva-mm export', description=EXPORT)
    parser.add_argument(
        'model', help='a published file, hf://USER/NAME, or a config or dva_mm::NAME.py'
    )
    parser.add_argument(
        'checkpoint', nargs='?', help="of a config's run; without one, the frozen encoder"
    )
    parser.add_argument('--out', required=True, help='file to write: .onnx or .pt2')
    parser.add_argument(
        '--precision',
        choices=['fp32', 'fp16', 'int8'],
        default='fp32',
        help='fp16 is half the size, int8 (.onnx) a quarter with its own index; fp32',
    )
    parser.add_argument('--pretrained', help="file of the frozen encoder's weights")
    args = parser.parse_args(argv)
    from dva_mm.retrieval.retriever import Retriever

    from .write import check_export, export

    path = check_export(args.out, args.precision)
    retriever = Retriever.load(args.model, args.checkpoint, args.pretrained, device='cpu')
    found = export(retriever, path, args.precision)
    height, width = found['size']
    print(
        f'{path}: {path.stat().st_size / 1e6:.2f} MB, {args.precision}, images of {width} x '
        f'{height} px, embeddings of {found["dims"]}; beside torch: largest difference '
        f'{found["max_difference"]:.1e}, smallest cosine {found["min_cosine"]:.5f}'
    )
    return 0
