"""All commands: ``dva-mm COMMAND``, ``python -m dva_mm COMMAND`` and the scripts of tools/."""

import os
import shlex
import sys
import time
import traceback
from difflib import get_close_matches
from importlib import import_module

from dva_mm.arguments import make_parser

COMMANDS = {
    'train': ('dva_mm.engine.launch:train', 'train a config'),
    'test': ('dva_mm.engine.launch:test', 'test a checkpoint, or the frozen encoder'),
    'publish': ('dva_mm.engine.publish:main', "write a run's weights alone"),
    'boxes': ('dva_mm.detection.run:main', "write a file of each image's box"),
    'prepare': ('dva_mm.prepare.run:main', 'download, verify, unpack and check a data set'),
}
"""Name -> module:function, which takes the arguments, and a line of help."""


def main(argv: list[str] | None = None) -> int | None:
    """Run a command and turn a user's mistake into one line.

    Args:
        argv: The command and its arguments. Default: the command line.

    Returns:
        The exit code: the command's own, 2 after a ValueError or FileNotFoundError (with
        DVA_MM_TRACEBACK=1 these are raised), 130 after Ctrl-C.

    Raises:
        SystemExit: 0 after a request for help, 2 for an unknown command or argument.

    >>> main(['publish', 'gone.pth', 'gone.txt'])
    2
    """
    command, *rest = (sys.argv[1:] if argv is None else argv) or ['']
    if command not in COMMANDS:
        lines = [f'  {name:10} {text}' for name, (_, text) in COMMANDS.items()]
        usage = '\n'.join(['usage: dva-mm COMMAND ...', '', *lines, '', 'COMMAND -h: its options'])
        if command in ('-h', '--help'):
            print(usage)
            raise SystemExit(0)
        close = ''.join(f'; did you mean {n}?' for n in get_close_matches(command, COMMANDS, 1))
        print(f'{usage}\n\nerror: unknown command {command!r}{close}', file=sys.stderr)
        raise SystemExit(2)
    if command in ('train', 'test'):
        make_parser(command).parse_args(rest)  # --help and mistakes, before torch is imported
    rank = int(os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or 0)
    try:
        module, _, function = COMMANDS[command][0].partition(':')
        return getattr(import_module(module), function)(rest)
    except KeyboardInterrupt:
        if rank == 0:
            again = 'the same command with --resume'
            if 'RANK' not in os.environ:
                again = shlex.join(['python', *sys.orig_argv[1:], '--resume'])
            print('\ninterrupted' + f'; to go on: {again}' * (command == 'train'), file=sys.stderr)
        return 130
    except Exception as error:
        if rank:  # the first process says what all of them met, and its end ends this one
            time.sleep(3)
        mistake = isinstance(error, ValueError | FileNotFoundError)
        if not mistake or os.environ.get('DVA_MM_TRACEBACK'):
            raise
        # Of a data loader's worker torch gives the traceback as the message.
        text = str(error).rpartition(f'\n{type(error).__name__}: ')[2].strip()
        print(f'error: {text}{_log_traceback()}', file=sys.stderr)
        return 2


def _log_traceback() -> str:
    """Write the traceback into the run's log file, if there is one, and tell where."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    if logger.log_file is None:
        return ''
    logger.info(f'\n{traceback.format_exc()}')  # the screen leaves out texts of several lines
    return f'\n(traceback: {logger.log_file})'


if __name__ == '__main__':
    sys.exit(main())
