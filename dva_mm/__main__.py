"""Train and test with the installed package alone: ``python -m dva_mm train CONFIG``."""

import sys

from dva_mm.engine.launch import test, train

USAGE = """\
usage: python -m dva_mm train CONFIG [options]
       python -m dva_mm test CONFIG CHECKPOINT [options]

CONFIG is a file, or dva_mm::NAME.py for a config shipped with the package.
`python -m dva_mm train -h` and `python -m dva_mm test -h` list the options."""


def main(argv: list[str] | None = None) -> None:
    """Hand the arguments to :func:`dva_mm.engine.launch.train` or ``test``.

    Args:
        argv: ``['train', ...]`` or ``['test', ...]``. Default: the command line.

    Raises:
        SystemExit: 0 after a request for help, 2 for an unknown or missing command.
    """
    command, *rest = (sys.argv[1:] if argv is None else argv) or ['']
    if command in ('-h', '--help'):
        print(USAGE)
        raise SystemExit(0)
    if command == 'train':
        train(rest)
    elif command == 'test':
        test(rest)
    else:
        print(f'{USAGE}\n\nerror: unknown command {command!r}', file=sys.stderr)
        raise SystemExit(2)


if __name__ == '__main__':
    main()
