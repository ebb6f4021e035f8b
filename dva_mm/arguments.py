"""Arguments of training, testing and publishing, parsed before torch is imported."""

import argparse

from mmengine.config import DictAction

from dva_mm.config import find_config

TEXTS = (
    *('data_root', 'work_dir', 'load_from', 'out_dir', 'boxes', 'pretrained', 'per_class_file'),
    *('prompt', 'model'),
)
"""Fields, also nested ones, whose values are taken as they stand."""


class ConfigOptions(DictAction):
    """MMEngine's ``KEY=VALUE`` options, with the spaces of all texts and the commas of TEXTS.

    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    >>> parser.parse_args(['--cfg-options', 'data_root=my birds, 2011', 'a.b=1,2']).cfg_options
    {'data_root': 'my birds, 2011', 'a.b': [1, 2]}
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Parse as MMEngine does, and put back the texts it shortened."""
        if wrong := [pair for pair in values if '=' not in pair]:
            parser.error(f'{option_string} takes KEY=VALUE, got {wrong[0]!r}')
        super().__call__(parser, namespace, values, option_string)
        options = getattr(namespace, self.dest)
        for key, text in (pair.split('=', maxsplit=1) for pair in values):
            text = text.strip('\'"')
            is_word = text == 'None' or text.lower() in ('true', 'false')
            is_text = key.rpartition('.')[2] in TEXTS and not is_word
            if is_text or options[key] == text.replace(' ', ''):
                options[key] = text


def make_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of ``'train'`` or ``'test'``, with mmpretrain's options, or ``'publish'``.

    >>> make_parser('train').parse_args(['dva_mm::dva_demo.py', '--resume']).resume
    'auto'
    """
    parser = argparse.ArgumentParser(prog=f'dva-mm {command}', description=f'{command} a model')
    if command == 'publish':
        parser.add_argument('checkpoint', help="a run's checkpoint")
        parser.add_argument('out', help='file to write: .pth or .safetensors')
        parser.add_argument('--with-head', action='store_true', help='keep the class proxies too')
        parser.add_argument(
            '--backbone',
            action='store_true',
            help='write the whole backbone of a run that trained it, for backbone.pretrained',
        )
        return parser
    parser.add_argument('config', type=_config, help='a config file, or dva_mm::NAME.py')
    if command == 'train':
        parser.add_argument(
            '--resume',
            nargs='?',
            const='auto',
            help='resume from this checkpoint; without a path, from the newest one in the work '
            'directory that can be read (a run that has none yet starts anew)',
        )
        parser.add_argument('--no-validate', action='store_true', help='train without evaluation')
        parser.add_argument(
            '--auto-scale-lr',
            action='store_true',
            help='scale the learning rate by the actual over the base batch size',
        )
        parser.add_argument(
            '--no-persistent-workers', action='store_true', help='start new workers each epoch'
        )
    else:
        parser.add_argument(
            'checkpoint',
            nargs='?',
            help="a run's .pth or a published .pth / .safetensors; left out: the frozen encoder",
        )
        parser.add_argument('--out', help='JSON file of metrics; default: WORK_DIR/metrics.json')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: fp16 on a GPU, bf16 on a CPU'
    )
    parser.add_argument('--no-pin-memory', action='store_true', help='do not pin memory')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='change fields of the config, e.g. model.head.beta=0.5. data_root, protocol, '
        'reader and val_classes change all data sets at once',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser


def _config(name: str) -> str:
    try:
        find_config(name)
    except FileNotFoundError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name
