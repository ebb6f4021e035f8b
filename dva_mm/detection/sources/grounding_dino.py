"""Boxes from Grounding DINO, a detector that is told in words what to find."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from mmpretrain.registry import TASK_UTILS
from PIL import Image
from torch import Tensor

from dva_mm.datasets.image import read_image

from ..source import Detection


@TASK_UTILS.register_module()
class GroundingDINO:
    """The surest box of a text prompt in each image, by transformers (extra ``detector``).

    Paper: https://arxiv.org/abs/2303.05499. Padding would move the boxes, so of a batch only the
    images that the processor resizes to the same size go through the model together.

    Args:
        prompt: The super-class of all images in lower case, ending in a dot: 'a bird.'
        model: A name on the hub, or a local folder. Defaults to the base model.
        box_threshold: Least score of a box. Defaults to 0.35.
        text_threshold: Least score of a word of the phrase that names a box; it changes no box.
            Defaults to 0.25.
        device: Where to compute. Defaults to 'cpu'.

    Raises:
        ValueError: If the prompt has another form, or a threshold is out of range.
        ImportError, RuntimeError: If transformers or the model cannot be loaded.

    >>> GroundingDINO('A bird')
    Traceback (most recent call last):
        ...
    ValueError: a prompt is lower case and ends in a dot, such as 'a bird.', got 'A bird'
    """

    source, batch_size = 'grounding-dino', 4

    def __init__(
        self,
        prompt: str,
        model: str = 'IDEA-Research/grounding-dino-base',
        box_threshold: float = 0.35,
        text_threshold: float = 0.25,
        device: str = 'cpu',
    ) -> None:
        text = str(prompt)
        if text != prompt or text != text.strip().lower() or text[-1:] != '.' or len(text) < 2:
            raise ValueError(
                f"a prompt is lower case and ends in a dot, such as 'a bird.', got {prompt!r}"
            )
        thresholds = dict(box_threshold=box_threshold, text_threshold=text_threshold)
        for name, value in thresholds.items():
            if not 0 <= value < 1:
                raise ValueError(f'{name} must lie between 0 and 1, got {value}')
        try:
            from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor
        except ImportError as error:
            raise ImportError(
                'Grounding DINO runs through transformers, which is missing: '
                'pip install "dva_mm[detector]"'
            ) from error
        try:
            self.processor = AutoProcessor.from_pretrained(model)
            network = AutoModelForZeroShotObjectDetection.from_pretrained(model)
        except (OSError, ValueError) as error:
            raise RuntimeError(
                f'the detector {model!r} cannot be loaded: {error}\nFetch it on a machine with '
                'internet and give its folder as model=FOLDER'
            ) from error
        self.prepare = partial(_pixels, image_processor=self.processor.image_processor)
        self.model = network.to(device).eval()
        self.prompt, self.thresholds, self.device = prompt, thresholds, device
        self.options = dict(model=str(model), prompt=prompt, **thresholds)

    @torch.inference_mode()
    def detect(
        self, inputs: Sequence[dict[str, Tensor]], sizes: Sequence[tuple[int, int]]
    ) -> list[Detection | None]:
        """Boxes in pixels of images of these (width, height); inputs as ``prepare`` gives them."""
        alike = defaultdict(list)
        for index, pixels in enumerate(inputs):
            alike[pixels['pixel_values'].shape].append(index)
        detections: dict[int, Detection | None] = {}
        for indices in alike.values():
            batch = dict(self.processor(text=[self.prompt] * len(indices), return_tensors='pt'))
            for name in inputs[indices[0]]:
                batch[name] = torch.stack([inputs[index][name] for index in indices])
            batch = {name: values.to(self.device) for name, values in batch.items()}
            outputs, shown = self.model(**batch), [sizes[index] for index in indices]
            found = best_boxes(
                self.processor, outputs, batch['input_ids'], shown, **self.thresholds
            )
            detections.update(zip(indices, found, strict=True))
        return [detections[index] for index in range(len(inputs))]


def _pixels(path: Path, image_processor: Callable) -> dict[str, Tensor]:
    """The model's ``pixel_values`` (3, h, w) and ``pixel_mask`` (h, w) of an image file."""
    image = Image.fromarray(read_image(path)[..., ::-1])  # RGB
    batch = image_processor(images=image, return_tensors='pt')
    return {name: values[0] for name, values in batch.items()}


def best_boxes(
    processor,
    outputs,
    input_ids: Tensor,
    sizes: Sequence[tuple[int, int]],
    box_threshold: float,
    text_threshold: float,
) -> list[Detection | None]:
    """Each image's best-scoring box above the threshold.

    ``outputs`` holds ``logits`` (B, queries, tokens) and ``pred_boxes`` (B, queries, 4), centre and
    size in shares of the image; ``input_ids`` (B, tokens) is the prompt.
    """
    post_process = processor.post_process_grounded_object_detection
    # transformers 4.51 renamed box_threshold.
    known = inspect.signature(post_process).parameters
    name = 'threshold' if 'threshold' in known else 'box_threshold'
    options = {name: box_threshold, 'text_threshold': text_threshold}
    sides = [(height, width) for width, height in sizes]
    best = []
    for found in post_process(outputs, input_ids, target_sizes=sides, **options):
        pairs = sorted(zip(found['scores'].tolist(), found['boxes'].tolist(), strict=True))
        best.append(Detection(tuple(pairs[-1][1]), pairs[-1][0]) if pairs else None)
    return best
