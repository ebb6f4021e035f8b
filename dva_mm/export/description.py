"""What an exported file says of itself: how an image becomes the model's input, and which model."""

import ast
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmpretrain.registry import TRANSFORMS
from torch import nn

from dva_mm import __version__
from dva_mm.retrieval.images import to_bgr
from dva_mm.retrieval.retriever import Retriever

from .model import Normalization

FORMAT, VERSION, KEY = 'dva_mm exported model', 1, 'dva_mm'
PROBES = ((331, 467), (512, 288))
"""(height, width) of two images that a test pipeline must bring to one size."""


def describe(retriever: Retriever) -> dict[str, Any]:
    """Describe a retriever as plain values: pipeline, normalisation, size, width, fingerprint.

    Raises:
        ValueError: If the pipeline has more than plain values or keeps images at sizes of their
            own, or the preprocessor does more than normalise.

    >>> says = describe(Retriever.load('dva_mm::dva_demo.py', device='cpu'))
    >>> says['dims'], says['size'], says['preprocessing'][-1]['channels']
    (128, [96, 96], 'RGB')
    """
    written = repr([_plain(transform) for transform in retriever.pipeline])
    pipeline = read_pipeline(written, retriever.name)
    normalization = find_normalization(retriever.model)
    encoder = getattr(retriever.model.backbone, 'encoder_info', dict)()
    return dict(
        format=FORMAT,
        version=VERSION,
        created_by=f'dva_mm {__version__}',
        name=retriever.name,
        fingerprint=retriever.fingerprint,
        encoder=json.loads(json.dumps(encoder, default=str)),
        dims=retriever.dims,
        size=find_size(pipeline),
        normalization=normalization,
        pipeline=written,
        preprocessing=[*map(_step, pipeline), dict(step='normalize', scale=255, **normalization)],
    )


def check_description(text: str, file: object) -> dict[str, Any]:
    """Read what :func:`describe` made.

    Raises:
        ValueError: If it is damaged, or of a later version.
    """
    try:
        found = json.loads(text)
        known = found['format'] == FORMAT and isinstance(found['pipeline'], str)
    except (ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise ValueError(f'{file} has a damaged description; export the model again')
    if found['version'] != VERSION:
        raise ValueError(
            f'{file} has version {found["version"]} of the format, this dva_mm reads {VERSION}'
        )
    return found


def read_pipeline(text: str, file: object) -> list[dict]:
    """A test pipeline from its Python literal, which unlike JSON tells tuples from lists.

    Raises:
        ValueError: If it has more than plain values, or names code to be imported.

    >>> read_pipeline("[{'type': 'CenterCrop', 'crop_size': (32, 32)}]", 'model.onnx')
    [{'type': 'CenterCrop', 'crop_size': (32, 32)}]
    """
    try:
        pipeline = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise ValueError(f'{file} has a test pipeline of more than plain values: {text}') from error
    for name in _types(pipeline):
        # MMEngine imports what a dotted name leads to.
        if not isinstance(name, str) or '.' in name:
            raise ValueError(f'{file} names the transform {name!r}, which is not registered')
    return pipeline


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _types(value: Any) -> list[Any]:
    if isinstance(value, dict):
        own = [value['type']] if 'type' in value else []
        return own + [name for inner in value.values() for name in _types(inner)]
    return (
        [name for inner in value for name in _types(inner)]
        if isinstance(value, list | tuple)
        else []
    )


def find_size(pipeline: Sequence[dict]) -> list[int]:
    """Height and width that a test pipeline brings every image to.

    Raises:
        ValueError: If two images come out at different sizes.

    >>> find_size([dict(type='LoadImage'), dict(type='ResizeAntialiased', scale=(96, 64)),
    ...     dict(type='PackInputs')])
    [64, 96]
    """
    transforms = Compose([TRANSFORMS.build(dict(transform)) for transform in pipeline[1:]])
    sizes = []
    for shape in PROBES:
        image = to_bgr(np.zeros(shape, np.uint8))
        seen = dict(img=image, img_shape=shape, ori_shape=shape, img_path=None, sample_idx=0)
        sizes.append(list(transforms(seen)['inputs'].shape[-2:]))
    if sizes[0] != sizes[1]:
        raise ValueError(
            f'the test pipeline gives images of {sizes}, and an exported model takes one size; '
            'end it with CenterCrop, or resize to (width, height)'
        )
    return sizes[0]


def find_normalization(model: nn.Module) -> dict[str, Any]:
    """Channel order, mean and standard deviation (of 0-255) that a preprocessor applies.

    Raises:
        ValueError: If it does something else, such as padding.
    """
    preprocessor = model.data_preprocessor
    buffers = dict(preprocessor.named_buffers())
    mean, std = (
        buffers[name].flatten().tolist() if name in buffers else [default] * 3
        for name, default in (('mean', 0.0), ('std', 1.0))
    )
    drawn = torch.randint(0, 256, (2, 3, 30, 41), generator=torch.Generator().manual_seed(0))
    pixels = drawn.to(torch.uint8)
    device = next(model.parameters()).device
    expected = preprocessor(dict(inputs=pixels.to(device), data_samples=None))['inputs'].cpu()
    for channels in ('RGB', 'BGR'):
        found = dict(channels=channels, mean=mean, std=std)
        seen = Normalization(**found)(dict(inputs=pixels))['inputs']
        if seen.shape == expected.shape and torch.allclose(seen, expected, atol=1e-5):
            return found
    raise ValueError(
        f'{type(preprocessor).__name__} does more than to normalise by mean and std, which an '
        'exported file cannot describe'
    )


def _step(transform: dict) -> dict[str, Any]:
    """A transform in words that do not depend on this library; an unknown one as it stands."""
    kind, options = transform['type'], {k: v for k, v in transform.items() if k != 'type'}
    if kind in ('LoadImage', 'LoadImageFromFile'):
        return dict(step='decode', bits=8, orientation='as EXIF says', alpha='dropped', **options)
    if kind == 'ResizeAntialiased':
        filters = dict(interpolation='bicubic', antialias=True)
        return dict(step='resize', **_sides(options['scale']), **filters)
    if kind in ('ResizeEdge', 'Resize'):
        antialias = options.get('backend', 'cv2') == 'pillow'
        filters = dict(interpolation=options.get('interpolation', 'bilinear'), antialias=antialias)
        plain = options.get('edge', 'short') == 'short' and not options.get('keep_ratio')
        if plain and 'scale' in options:
            return dict(step='resize', **_sides(options['scale']), **filters)
    if kind == 'CenterCrop':
        size = options['crop_size']
        height, width = (size, size) if isinstance(size, int) else size
        return dict(step='center_crop', height=height, width=width)
    if kind == 'PackInputs':
        return dict(step='to_tensor', layout='CHW')
    return dict(step=kind, **options)


def _sides(scale: int | Sequence[int]) -> dict[str, Any]:
    sides = [scale] if isinstance(scale, int) else scale
    if len(sides) == 1:
        return dict(shorter_edge=sides[0], rounding='down')
    return dict(width=sides[0], height=sides[1])
