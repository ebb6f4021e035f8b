"""What is wrong with a data set: every image opened, every box compared with its image."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dva_mm.datasets.benchmarks import BENCHMARKS
from dva_mm.datasets.protocols import PROTOCOLS, find_repeats, select_side
from dva_mm.datasets.published import find_side_differences, find_total_differences
from dva_mm.datasets.record import Record
from dva_mm.files import replace_atomically

from .images import OVER_EDGE, ImageFacts, box_fault, inspect_images

SPLITS = ('train', 'test')
OTHER_NUMBERS = 'numbers other than published'
_SHOWN = 5


@dataclass
class Report:
    """What :func:`check_data` found: by kind, a line for each case.

    Damage means that this copy of the data is broken. Problems make figures wrong, and may lie in
    the data set as it was published. Notes are facts to know.

    >>> Report('data', 'folder', images=9, classes=3, boxes=0).ok
    True
    """

    root: str
    reader: str
    images: int
    classes: int
    boxes: int  # Number of images with a box
    sides: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """By protocol and split: numbers of classes and images."""
    damage: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def ok(self) -> bool:
        """Is there neither damage nor a problem?"""
        return not (self.damage or self.problems)

    def save(self, path: str | Path) -> None:
        """Write everything as JSON, with all cases."""
        with replace_atomically(path) as partial:
            partial.write_text(json.dumps(dict(ok=self.ok, **vars(self)), indent=2) + '\n')

    def __str__(self) -> str:
        lines = [
            f'{self.root} (reader {self.reader}): {self.images:,} images of {self.classes:,} '
            f'classes, {self.boxes:,} with a box',
            f'  {"protocol":<10}{"split":<8}{"classes":>9}{"images":>10}',
        ]
        for protocol, splits in self.sides.items():
            for split, side in splits.items():
                numbers = f'{side["classes"]:>9,}{side["images"]:>10,}'
                lines.append(f'  {protocol:<10}{split:<8}{numbers}')
        groups = dict(DAMAGE=self.damage, PROBLEM=self.problems, note=self.notes)
        for title, findings in groups.items():
            for kind, cases in findings.items():
                lines.append(f'  {title}: {kind}: {len(cases):,}')
                lines += [f'    {case}' for case in cases[:_SHOWN]]
                if len(cases) > _SHOWN:
                    lines.append(f'    ... and {len(cases) - _SHOWN:,} more (--report FILE.json)')
        return '\n'.join([*lines, f'  {"OK" if self.ok else "NOT OK"}'])


def check_data(
    root: str | Path,
    reader: str,
    protocols: Sequence[str] = ('open', 'closed'),
    workers: int = 4,
    fast: bool = False,
) -> Report:
    """Read a data set as training does, and inspect each of its images.

    - Damage: missing, unreadable and truncated images; other numbers in all than published.
    - Problems: other numbers on the sides of a protocol than published; images listed twice in
      test, or in train and test; equal images in train and test or under two classes; boxes
      without area or outside their image.
    - Notes: what the reader left out; a protocol that does not suit; other equal images; boxes
      over the edge (they are clipped); images without a box in a data set with boxes.

    Args:
        root: Folder of the data set.
        reader: Name in ``BENCHMARKS``.
        protocols: Names in ``PROTOCOLS``. Defaults to both.
        workers: Images inspected at a time. Defaults to 4.
        fast: Read the images' headers only; finds neither damaged images nor equal ones.

    Raises:
        FileNotFoundError, ValueError: As the reader does; ValueError for an unknown name.

    >>> check_data('data', 'birds')  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: reader must be one of ['aircraft', ...
    """
    for name, values, known in (
        ('reader', [reader], BENCHMARKS),
        ('protocol', protocols, PROTOCOLS),
    ):
        if unknown := [value for value in values if value not in known]:
            raise ValueError(f'{name} must be one of {list(known)}, got {unknown[0]!r}')
    benchmark = BENCHMARKS[reader]
    reading = benchmark.read(root)
    boxes = sum(record.box is not None for record in reading.records)
    report = Report(str(root), reader, len(reading.records), len(reading.classes), boxes)
    if differences := find_total_differences(benchmark.published, reading):
        report.damage[OTHER_NUMBERS] = differences
    if reading.remarks:
        report.notes['remarks of the reader'] = list(reading.remarks)
    sides = {}
    for protocol in protocols:
        try:
            train, test = (select_side(reading, protocol, split) for split in SPLITS)
        except ValueError as error:
            report.notes['protocols that do not suit'].append(f'{protocol}: {error}')
            continue
        sides[protocol] = [{record.path for record in side} for side in (train, test)]
        report.sides[protocol] = {
            split: dict(classes=len({r.label for r in side}), images=len(side))
            for split, side in zip(SPLITS, (train, test), strict=True)
        }
        if differences := find_side_differences(benchmark.published, reading, protocol):
            report.problems[OTHER_NUMBERS] += differences
        for path in find_repeats(train, test):
            kind = f'images listed twice in test, or in train and test ({protocol})'
            report.problems[kind].append(_short(path, report.root))
    facts = inspect_images([record.path for record in reading.records], workers, fast)
    _look_at_images(reading.records, facts, report)
    groups = defaultdict(list)
    for record in reading.records:
        if digest := facts[record.path].sha256:
            groups[digest].append(record)
    for group in groups.values():
        _look_at_equals(group, reading.classes, sides, report)
    return report


def _look_at_images(records: list[Record], facts: dict[str, ImageFacts], report: Report) -> None:
    for record in records:
        fact = facts[record.path]
        path = _short(record.path, report.root)
        if fact.fault:
            kind, _, reason = fact.fault.partition(': ')
            report.damage[kind].append(f'{path}: {reason}' if reason else path)
        if record.box is None:
            if report.boxes:
                report.notes['images without a box'].append(path)
        elif fact.size and (fault := box_fault(record.box, *fact.size)):
            box = ', '.join(f'{value:g}' for value in record.box)
            size = '{1} wide and {0} high'.format(*fact.size)
            findings = report.notes if fault == OVER_EDGE else report.problems
            findings[fault].append(f'{path}: x1, y1, x2, y2 = {box} of an image {size}')


def _look_at_equals(
    group: list[Record], classes: list[str], sides: dict[str, list[set[str]]], report: Report
) -> None:
    """Records of images with the same bytes: what do they spoil?"""
    paths = {record.path for record in group}
    if len(paths) == 1:  # alone, or listed once for each of its objects
        return
    case = ' = '.join(f'{_short(r.path, report.root)} [{classes[r.label]}]' for r in group)
    across = [name for name, (train, test) in sides.items() if paths & train and paths & test]
    for protocol in across:
        report.problems[f'equal images in train and test ({protocol})'].append(case)
    if len({record.label for record in group}) > 1:
        report.problems['equal images of different classes'].append(case)
    elif not across:
        report.notes['equal images on one side'].append(case)


def _short(path: str, root: str) -> str:
    path, root = Path(path), Path(root).expanduser()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
