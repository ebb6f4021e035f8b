"""What is planted where: the choices of a planted data set, before any picture is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dva_mm.datasets.record import Record

PLACES = ('uniform', 'center')


@dataclass(frozen=True)
class Knobs:
    """How objects are planted.

    Attributes:
        classes: The first so many classes of the objects are planted; the others give distractors.
        size: Smallest and largest longer side of an object, as shares of the scene's shorter side.
        place: 'uniform', anywhere inside of the scene, or 'center'.
        distractors: Objects of the other classes in each picture, none of them labelled.
        correlation: The probability that a training picture's scene comes from its class's own
            small group of scenes. 0: from all; 1: the scene gives the class away. Test pictures
            take any scene.
        soft: Whether the edge of an object fades into the scene.
        per_class: Most pictures of a class; 0: one for each of its images.
        side: Scenes whose shorter side is larger are reduced to it, in pixels.
        seed: Of every choice.

    Raises:
        ValueError: If one is out of range.
    """

    classes: int
    size: tuple[float, float] = (0.3, 0.5)
    place: str = 'uniform'
    distractors: int = 0
    correlation: float = 0.0
    soft: bool = False
    per_class: int = 0
    side: int = 224
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.size
        for name, value, valid, range_ in (
            ('classes', self.classes, self.classes >= 4, 'at least 4'),
            ('size', self.size, 0 < low <= high <= 1, 'two shares, 0 to 1, the smaller first'),
            ('place', self.place, self.place in PLACES, f'one of {list(PLACES)}'),
            ('distractors', self.distractors, self.distractors >= 0, 'at least 0'),
            ('correlation', self.correlation, 0 <= self.correlation <= 1, '0 to 1'),
            ('per_class', self.per_class, self.per_class >= 0, 'at least 0'),
            ('side', self.side, self.side >= 32, 'at least 32'),
            ('seed', self.seed, self.seed >= 0, 'at least 0'),
        ):
            if not valid:
                raise ValueError(f'{name} must be {range_}, got {value}')


class Plan(NamedTuple):
    """What goes into one picture; paths are files."""

    name: str  # of the picture's file, below images/
    label: str
    is_train: bool
    item: Record  # the object
    scene: str
    others: tuple[Record, ...]  # the distractors
    draw: int  # seed of sizes and places


def plan_pictures(
    objects: Sequence[Record], names: Sequence[str], scenes: Sequence[str], knobs: Knobs
) -> list[Plan]:
    """Choose the scene and the distractors of each picture.

    The first half of the planted classes trains, the other half tests. Every second scene and
    every second image of the distractors' classes is for training, the others for testing. The
    training scenes, in their order, are dealt out to the training classes in equal groups.

    Args:
        objects: Images of the objects, their labels being indices into ``names``.
        names: Class names.
        scenes: Files of the scenes, those of a class next to each other.
        knobs: How they are planted.

    Raises:
        ValueError: If there are too few classes, scenes or images of distractors.

    >>> objects = [Record(f'{i}.jpg', i // 2, None, None) for i in range(8)]
    >>> scenes = [f's{i}.jpg' for i in range(8)]
    >>> plans = plan_pictures(objects, 'abcd', scenes, Knobs(classes=4, correlation=1.0))
    >>> [plan.scene for plan in plans if plan.label == 'a'][0] in ('s0.jpg', 's2.jpg')
    True
    """
    half, sides = knobs.classes // 2, {True: scenes[::2], False: scenes[1::2]}
    if len(names) < knobs.classes:
        raise ValueError(f'classes is {knobs.classes}, but the objects have {len(names)} classes')
    if min(map(len, sides.values())) < half:
        raise ValueError(
            f'{len(scenes)} scenes are too few: each half, for training and for testing, needs at '
            f'least one for each of {half} classes'
        )
    spare = [record for record in objects if record.label >= knobs.classes]
    others = {True: spare[::2], False: spare[1::2]}
    if knobs.distractors and not others[False]:
        raise ValueError(
            f'distractors is {knobs.distractors}, but no class is left for them: of {len(names)} '
            f'classes {knobs.classes} are planted'
        )
    plans, counts = [], dict.fromkeys(range(knobs.classes), 0)
    for record in objects:
        label = record.label
        if label >= knobs.classes or (knobs.per_class and counts[label] == knobs.per_class):
            continue
        rng = np.random.default_rng((knobs.seed, label, counts[label]))
        is_train, from_group = label < half, rng.random() < knobs.correlation
        of_side, place = sides[is_train], rng.random()  # drawn alike for any correlation
        first, last = 0, len(of_side)
        if is_train and from_group:
            first, last = label * last // half, (label + 1) * last // half
        chosen = rng.random(knobs.distractors)
        plans.append(
            Plan(
                name=f'{names[label]}/{counts[label] + 1:04d}.jpg',
                label=names[label],
                is_train=is_train,
                item=record,
                scene=of_side[first + int(place * (last - first))],
                others=tuple(others[is_train][int(u * len(others[is_train]))] for u in chosen),
                draw=int(rng.integers(2**32)),
            )
        )
        counts[label] += 1
    return plans
