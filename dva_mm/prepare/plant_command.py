"""The command ``plant``: a data set of objects pasted into scenes."""

import argparse
from pathlib import Path

from dva_mm.files import check_writable


def main(argv: list[str] | None = None) -> None:
    """Write a planted data set: ``OBJECTS SCENES --out FOLDER [options]``.

    Raises:
        FileNotFoundError, ValueError: If a folder or an option is wrong; before any is written.
    """
    args = parse_arguments(argv)
    from dva_mm.detection.contact_sheet import choose_entries, contact_sheet

    from .plans import Knobs
    from .planted import plant

    knobs = Knobs(
        classes=args.classes,
        size=tuple(args.size),
        place=args.place,
        distractors=args.distractors,
        correlation=args.correlation,
        soft=args.soft,
        per_class=args.per_class,
        side=args.side,
        seed=args.seed,
    )
    check_writable(Path(args.out).expanduser() / 'images.csv', '--out')
    sheet = check_writable(args.sheet, '--sheet') if args.sheet else None
    entries = plant(args.objects, args.scenes, args.out, knobs, args.boxes)
    print(f'planted: {len(entries):,} pictures of {knobs.classes} classes in {args.out}')
    if sheet is not None:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(choose_entries(entries, 40, 'random'), args.out, columns=8).save(sheet)
        print(f'sheet: {sheet}')
    print(f'use it by: --cfg-options data_root={args.out} reader=csv')


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The options of the command.

    >>> parse_arguments(['cars', 'flowers', '--classes', '98', '--out', 'planted']).size
    [0.3, 0.5]
    """
    parser = argparse.ArgumentParser(
        'dva-mm plant',
        description='Paste the objects of one folder of images into the scenes of another: real '
        'pixels, true boxes. Both folders have a sub-folder a class.',
    )
    parser.add_argument('objects', help='folder of objects')
    parser.add_argument('scenes', help='folder of scenes')
    parser.add_argument('--out', required=True, help='folder of the data set to write')
    text = 'the first N classes are planted, half of them for training; others are distractors'
    parser.add_argument('--classes', type=int, required=True, metavar='N', help=text)
    text = "smallest and largest longer side, as shares of the scene's shorter side"
    parser.add_argument('--size', type=float, nargs=2, default=[0.3, 0.5], help=text)
    parser.add_argument('--place', default='uniform', choices=['uniform', 'center'])
    text = 'objects of other classes in each picture; default: 0'
    parser.add_argument('--distractors', type=int, default=0, metavar='N', help=text)
    text = "probability, 0 to 1, that a training scene is one of its class's own; default: 0"
    parser.add_argument('--correlation', type=float, default=0.0, metavar='P', help=text)
    parser.add_argument('--soft', action='store_true', help='fade the edges of objects')
    text = 'most pictures of a class; default: one for each of its images'
    parser.add_argument('--per-class', type=int, default=0, metavar='N', help=text)
    text = 'larger scenes are reduced to this shorter side; default: 224'
    parser.add_argument('--side', type=int, default=224, metavar='PIXELS', help=text)
    parser.add_argument('--boxes', help="file of the objects' boxes; default: whole images")
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--sheet', help='picture (.png, .jpg) of 40 results with their boxes')
    return parser.parse_args(argv)
