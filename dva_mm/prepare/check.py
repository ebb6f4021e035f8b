"""What is wrong with a data set: every image opened, every box compared with its image."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dva_mm.datasets.benchmarks import READERS, Reading, Record
from dva_mm.datasets.protocols import PROTOCOLS, select_side
from dva_mm.datasets.published import find_side_differences, find_total_differences

from .images import OVER_EDGE, ImageFacts, box_fault, inspect_images

SPLITS = ('train', 'test')
OTHER_NUMBERS = 'numbers other than published'
_SHOWN = 5


@dataclass
class Report:
    """What :func:`check_data` found.

    ``damage``, ``problems`` and ``notes`` map a kind of finding to a line for each case. Damage
    means that this copy of the data is broken. Problems make figures wrong, and may lie in the
    data set as it was published. Notes are facts to know.
    """

    root: str
    reader: str
    images: int
    classes: int
    boxes: int
    """Number of images with a box."""
    sides: dict[str, dict[str, dict[str, int]]]
    """By protocol and split: numbers of classes and images."""
    damage: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Is there neither damage nor a problem?"""
        return not (self.damage or self.problems)

    def save(self, path: str | Path) -> None:
        """Write everything as JSON, with all cases."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(dict(ok=self.ok, **asdict(self)), indent=2) + '\n')

    def __str__(self) -> str:
        lines = [
            f'{self.root} (reader {self.reader}): {self.images:,} images of {self.classes:,} '
            f'classes, {self.boxes:,} with a box'
        ]
        lines.append(f'  {"protocol":<10}{"split":<8}{"classes":>9}{"images":>10}')
        for protocol, splits in self.sides.items():
            for split, side in splits.items():
                numbers = f'{side["classes"]:>9,}{side["images"]:>10,}'
                lines.append(f'  {protocol:<10}{split:<8}{numbers}')
        groups = ('DAMAGE', self.damage), ('PROBLEM', self.problems), ('note', self.notes)
        for title, findings in groups:
            for kind, cases in findings.items():
                lines.append(f'  {title}: {kind}: {len(cases):,}')
                lines += [f'    {case}' for case in cases[:_SHOWN]]
                if len(cases) > _SHOWN:
                    lines.append(f'    ... and {len(cases) - _SHOWN:,} more (--report FILE.json)')
        lines.append(f'  {"OK" if self.ok else "NOT OK"}')
        return '\n'.join(lines)


def check_data(
    root: str | Path,
    reader: str,
    protocols: Sequence[str] = ('open', 'closed'),
    workers: int = 4,
    fast: bool = False,
) -> Report:
    """Read a data set as training does, and inspect each of its images.

    Damage is: missing, unreadable and truncated images, and other numbers of classes and images in
    all than the published ones. Problems are: other numbers on the sides of a protocol than
    published, images with the same bytes on its training and its test side or under two classes,
    and boxes without area or outside their image. Notes are: a protocol that does not suit the
    data set, other equal images, boxes that reach over the edge (they are clipped), and images
    without a box in a data set with boxes. An image that is listed several times, once for each
    object, equals itself: only on both sides of a protocol is that a finding.

    Args:
        root: Folder of the data set.
        reader: Name in ``READERS``.
        protocols: Names in ``PROTOCOLS``. Defaults to both.
        workers: Images inspected at a time. Defaults to 4.
        fast: Read the images' headers only; finds neither damaged images nor equal ones.

    Raises:
        FileNotFoundError, ValueError: as the reader does; ValueError for an unknown name.
    """
    for name, values, known in (('reader', [reader], READERS), ('protocol', protocols, PROTOCOLS)):
        for value in values:
            if value not in known:
                raise ValueError(f'{name} must be one of {list(known)}, got {value!r}')
    reading = READERS[reader](root)
    boxes = sum(record.box is not None for record in reading.records)
    report = Report(str(root), reader, len(reading.records), len(reading.classes), boxes, {})
    for difference in find_total_differences(reader, reading):
        _add(report.damage, OTHER_NUMBERS, difference)
    sides = {}
    for protocol in protocols:
        try:
            chosen = {split: select_side(reading, protocol, split) for split in SPLITS}
        except ValueError as error:
            _add(report.notes, 'protocols that do not suit', f'{protocol}: {error}')
            continue
        sides[protocol] = {split: {r.path for r in side} for split, side in chosen.items()}
        report.sides[protocol] = {
            split: dict(classes=len({r.label for r in side}), images=len(side))
            for split, side in chosen.items()
        }
        for difference in find_side_differences(reader, reading, protocol):
            _add(report.problems, OTHER_NUMBERS, difference)
    facts = inspect_images([record.path for record in reading.records], workers, fast)
    _look_at_images(reading.records, facts, report)
    _look_for_equals(reading, sides, facts, report)
    return report


def _look_at_images(records: list[Record], facts: dict[str, ImageFacts], report: Report) -> None:
    for record in records:
        fact = facts[record.path]
        path = _short(record.path, report.root)
        if fact.fault:
            kind, _, reason = fact.fault.partition(': ')
            _add(report.damage, kind, f'{path}: {reason}' if reason else path)
        if record.box is None:
            if report.boxes:
                _add(report.notes, 'images without a box', path)
        elif fact.size and (fault := box_fault(record.box, *fact.size)):
            box = ', '.join(f'{value:g}' for value in record.box)
            height, width = fact.size
            _add(
                report.notes if fault == OVER_EDGE else report.problems,
                fault,
                f'{path}: x1, y1, x2, y2 = {box} of an image {width} wide and {height} high',
            )


def _look_for_equals(
    reading: Reading,
    sides: dict[str, dict[str, set[str]]],
    facts: dict[str, ImageFacts],
    report: Report,
) -> None:
    """Groups of images with the same bytes, by what they spoil."""
    groups = defaultdict(list)
    for record in reading.records:
        if digest := facts[record.path].sha256:
            groups[digest].append(record)
    for group in groups.values():
        if len(group) == 1:
            continue
        case = ' = '.join(
            f'{_short(record.path, report.root)} [{reading.classes[record.label]}]'
            for record in group
        )
        paths = {record.path for record in group}
        across = [p for p, side in sides.items() if all(paths & side[split] for split in SPLITS)]
        for protocol in across:
            _add(report.problems, f'equal images in train and test ({protocol})', case)
        if len(paths) == 1:  # listed once for each of its objects
            continue
        if len({record.label for record in group}) > 1:
            _add(report.problems, 'equal images of different classes', case)
        elif not across:
            _add(report.notes, 'equal images on one side', case)


def _add(findings: dict[str, list[str]], kind: str, case: str) -> None:
    findings.setdefault(kind, []).append(case)


def _short(path: str, root: str) -> str:
    path, root = Path(path), Path(root).expanduser()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
