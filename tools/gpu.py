"""All that needs a GPU, one after another: tests, figures and the study at full size.

python tools/gpu.py                    # all of it
python tools/gpu.py check measure      # these stages alone
python tools/gpu.py study --data flowers planted --planted data/planted_000 data/planted_050
python tools/gpu.py --dry-run          # print the commands

What fails is named at the end, and the rest goes on. Logs and rows of figures go to work_dirs/gpu.
The study reads FLOWERS, CARS and DEIT_TINY from the environment, as docs/studies.md says.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
STAGES = ('check', 'measure', 'study')
MODEL = """\
_base_ = 'dva_mm::dva_vit_cub.py'
model = dict(backbone=dict(pretrained=False))  # random weights take as long
"""


@dataclass
class Step:
    """A command of a stage, and the environment variables that it sets."""

    name: str
    command: list[str]
    variables: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        variables = [f'{name}={shlex.quote(value)}' for name, value in self.variables.items()]
        return ' '.join([*variables, shlex.join(self.command)])


def script(name: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / 'tools' / name), *map(str, arguments)]


def check(args: argparse.Namespace) -> Iterator[Step]:
    yield Step('tests', [sys.executable, '-m', 'pytest', '-m', 'gpu', '-rs', str(ROOT / 'tests')])


def measure(args: argparse.Namespace) -> Iterator[Step]:
    for batch in (32, 128):
        options = ['--device', 'cuda', '--precision', 'bf16', '--batch', str(batch)]
        options += ['--models', 'vit_base_patch16_224:224', '--modes', 'eager', 'compiled']
        options += ['--optimizer', '--profile', '--loader', '4', '8', '16']
        options += ['--json', str(args.out / f'train_{batch}.jsonl')]
        yield Step(f'train_{batch}', script('benchmark_train.py', *options))
    options = ['--tasks', 'gpu', '--vectors', '1000000', '--dims', '768', '--queries', '1000']
    options += ['--json', str(args.out / 'search.jsonl')]
    yield Step('search', script('benchmark_search.py', *options))
    for name, compiled in (('extract', []), ('extract_compiled', ['--compile'])):
        options = ['--tasks', 'extract', '--model', args.out / 'vit_base.py', '--device', 'cuda']
        options += ['--images', '4096', '--batch-size', '128', '--workers', '8', *compiled]
        options += ['--precision', 'bf16', '--json', args.out / f'{name}.jsonl']
        yield Step(name, script('benchmark_search.py', *options))


def study(args: argparse.Namespace) -> Iterator[Step]:
    file = ROOT / 'configs' / 'studies' / 'full_size.py'
    folders = ['--out', args.out / 'results', '--work-dir', args.out / 'studies']
    command = script('study.py', file, *folders)
    for data in args.data:
        for folder in args.planted if data == 'planted' else [None]:
            variables = dict(DATA=data) | (dict(PLANTED=folder) if folder else {})
            yield Step(f'study_{Path(folder).name if folder else data}', command, variables)


def run(step: Step, out: Path) -> tuple[bool, float]:
    """Run a step, its output on the screen and in a log; whether it passed, and its seconds."""
    print(f'\n{step}', flush=True)
    begun = time.monotonic()
    with (out / f'{step.name}.log').open('w') as log:
        process = subprocess.Popen(
            step.command,
            env={**os.environ, **step.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
        )
        for line in process.stdout:
            print(line, end='', flush=True)
            log.write(line)
    return process.wait() == 0, time.monotonic() - begun


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('stages', nargs='*', metavar='STAGE', help=f'{", ".join(STAGES)}; all')
    sets = dict(nargs='+', choices=['flowers', 'cars', 'planted'])
    parser.add_argument('--data', default=['flowers', 'cars', 'planted'], **sets)
    planted = dict(nargs='+', default=['data/planted'], metavar='FOLDER')
    parser.add_argument('--planted', help='sets of dva-mm plant', **planted)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu'), metavar='FOLDER')
    parser.add_argument('--dry-run', action='store_true', help='print the commands')
    args = parser.parse_args(argv)
    if unknown := [stage for stage in args.stages if stage not in STAGES]:
        parser.error(f'{unknown[0]!r} is no stage; there are {", ".join(STAGES)}')
    args.out = args.out.absolute()
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    makers = dict(check=check, measure=measure, study=study)
    steps = [step for stage in args.stages or STAGES for step in makers[stage](args)]
    if args.dry_run:
        print(*steps, sep='\n')
        return 0
    if not torch.cuda.is_available():
        print('nothing ran: torch sees no GPU (torch.cuda.is_available() is False)')
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'vit_base.py').write_text(MODEL)
    outcomes = [(step.name, *run(step, args.out)) for step in steps]
    print(f'\n{torch.cuda.get_device_name()}, torch {torch.__version__}; logs in {args.out}')
    for name, passed, seconds in outcomes:
        print(f'{name:24} {"passed" if passed else "FAILED"} {seconds / 60:8.1f} min')
    return 0 if all(passed for _, passed, _ in outcomes) else 1


if __name__ == '__main__':
    sys.exit(main())
