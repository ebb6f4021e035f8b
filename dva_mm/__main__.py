"""All commands: ``dva-mm COMMAND``, ``python -m dva_mm COMMAND`` and the scripts of tools/."""

import os
import shlex
import sys
import time
import traceback
import warnings
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from mmengine.logging import MMLogger

from dva_mm.arguments import make_parser
from dva_mm.config import load_config
from dva_mm.screen import allow_shared_gpus, quieten

COMMANDS = {
    'train': ('dva_mm.engine.launch:train', 'train a config'),
    'test': ('dva_mm.engine.launch:test', 'test a checkpoint, or the frozen encoder'),
    'study': ('dva_mm.study.command:main', 'run configs x seeds, and write tables of them'),
    'publish': ('dva_mm.engine.publish:main', "write a run's weights alone"),
    'boxes': ('dva_mm.detection.run:main', "write a file of each image's box"),
    'index': ('dva_mm.retrieval.run:index_main', 'make an index of photographs'),
    'search': ('dva_mm.retrieval.run:search_main', 'find the images most like a picture'),
    'duplicates': ('dva_mm.retrieval.tend:duplicates_main', 'find near copies in an index'),
    'cluster': ('dva_mm.retrieval.tend:cluster_main', 'sort the images of an index into clusters'),
    'check': ('dva_mm.retrieval.tend:check_main', 'measure an approximate index'),
    'remove': ('dva_mm.retrieval.tend:remove_main', 'take images out of an index'),
    'export': ('dva_mm.export.run:main', 'write a model as one file: ONNX or torch.export'),
    'show': ('dva_mm.visualization.run:main', 'write a page of ranked images, curves or maps'),
    'serve': ('dva_mm.serve.run:main', 'serve a page that searches an index'),
    'prepare': ('dva_mm.prepare.run:main', 'download, verify, unpack and check a data set'),
    'plant': ('dva_mm.prepare.plant_command:main', 'make a data set of objects pasted into scenes'),
}
"""Name -> module:function, which takes the arguments, and a line of help."""

_OUT_OF_MEMORY = (
    'the memory of the GPU is full ({}). Lower train_dataloader.batch_size, or set '
    "precision='bf16' or model.backbone.grad_checkpointing=True (--cfg-options); to embed, lower "
    '--batch-size'
)


def main(argv: list[str] | None = None) -> int | None:
    """Run a command (default: the command line's) and turn a user's mistake into one line.

    Returns:
        The exit code: the command's own, 2 after a user's mistake (with DVA_MM_TRACEBACK=1 it is
        raised), 130 after Ctrl-C.

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
    if command in ('train', 'test', 'publish'):
        make_parser(command).parse_args(rest)  # --help and mistakes, before torch is imported
    ranks = (os.environ.get(name) for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'))
    rank = next((int(rank) for rank in ranks if rank), None)  # None: the only process
    if rank:
        warnings.simplefilter('ignore')  # the first process shows them
    if not {'-h', '--help'} & {*rest}:  # a logger imports torch
        if rank is not None:
            allow_shared_gpus()
        quieten(MMLogger.get_current_instance())
    try:
        module, _, function = COMMANDS[command][0].partition(':')
        return getattr(import_module(module), function)(rest)
    except (Exception, KeyboardInterrupt) as error:
        if _is_interrupt(error):
            if not rank:
                hint = ''
                if command == 'train' and rank is None:
                    again = shlex.join(['python', *sys.orig_argv[1:], '--resume'])
                    hint = f'; to go on: {_variables(rest)}{again}'
                elif command in ('index', 'study'):
                    hint = '; the same command goes on from here'
                print(f'\ninterrupted{hint}', file=sys.stderr)
            return 130
        mistake = _is_mistake(error)
        if rank is not None and not mistake:
            time.sleep(1)  # where it is another process's end that failed here, this one is ended
        if not _is_first_to_fail(rank):
            time.sleep(3)  # the first one speaks for all
            return 2 if mistake else 1
        if not mistake or os.environ.get('DVA_MM_TRACEBACK'):
            raise
        # Of a data loader's worker torch gives the traceback as the message.
        text = str(error).rpartition(f'\n{type(error).__name__}: ')[2].strip()
        if _is_out_of_memory(error):
            text = _OUT_OF_MEMORY.format(text.partition('. ')[0])
        print(f'error: {text}', file=sys.stderr, flush=True)
        logger = MMLogger.get_current_instance()
        if logger.log_file:
            logger.info(f'\n{traceback.format_exc()}')  # of several lines: not for the screen
            print(f'traceback: {logger.log_file}', file=sys.stderr)
        return 2


def _is_first_to_fail(rank: int | None) -> bool:
    """Tell whether no other process of this machine has asked; torchrun gives them a folder."""
    file = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if rank is None or not file:
        time.sleep(3 if rank else 0)  # the launcher may end this process for the first one's end
        return True
    try:
        (Path(file).parents[1] / 'failed').touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _is_mistake(error: BaseException) -> bool:
    """Tell whether the user can mend it; an unknown option of a class is a TypeError."""
    if isinstance(error, TypeError):
        return 'unexpected keyword argument' in str(error)
    mendable = isinstance(error, ValueError | FileNotFoundError | ImportError)
    return mendable or _is_out_of_memory(error)


def _is_out_of_memory(error: BaseException) -> bool:
    return type(error).__name__ == 'OutOfMemoryError'  # torch's, and torch may not be imported


def _variables(arguments: list[str]) -> str:
    """The environment variables that a training's config reads, as they stand before a command."""
    try:
        names = load_config(make_parser('train').parse_args(arguments).config).env_variables
    except (Exception, SystemExit):  # the hint is less than the interrupt
        names = {}
    given = [f'{name}={shlex.quote(os.environ[name])} ' for name in names if name in os.environ]
    return ''.join(given)


def _is_interrupt(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C is behind an error: MMEngine catches it where it formats a config."""
    return error is not None and (
        isinstance(error, KeyboardInterrupt) or _is_interrupt(error.__context__)
    )


if __name__ == '__main__':
    sys.exit(main())
