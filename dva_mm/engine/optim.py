"""The optimiser over what trains, and nothing else; its schedule."""

import torch.nn as nn
from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Give the optimiser only parameters with ``requires_grad``, grouped by learning rate.

    Of ``paramwise_cfg`` it takes ``custom_keys`` with ``lr_mult`` and ``decay_mult``, e.g.
    ``custom_keys={'head.proxies': dict(lr_mult=10)}``; a parameter takes the longest key that its
    name contains. With ``optional=True`` a key may match nothing, as ``'head.'`` does where the
    loss has no parameters.

    Raises:
        ValueError: If ``paramwise_cfg`` asks for anything else, a key matches no trainable
            parameter, or nothing trains.

    >>> keys = dict(custom_keys=dict(bias=dict(lr_mult=10)))
    >>> config = dict(optimizer=dict(type='SGD', lr=0.1))
    >>> wrapper = TrainableOptimWrapperConstructor(config, keys)(nn.Linear(2, 2))
    >>> [group['lr'] for group in wrapper.optimizer.param_groups]
    [0.1, 1.0]
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        # A non-empty paramwise_cfg makes the parent call add_params instead of taking all.
        super().__init__(optim_wrapper_cfg, {'custom_keys': {}, **(paramwise_cfg or {})})
        if extra := set(self.paramwise_cfg) - {'custom_keys'}:
            raise ValueError(
                f'TrainableOptimWrapperConstructor knows custom_keys alone in paramwise_cfg, got '
                f'{sorted(extra)}; use DefaultOptimWrapperConstructor for those'
            )
        for key, options in self.paramwise_cfg['custom_keys'].items():
            if extra := set(options) - {'lr_mult', 'decay_mult', 'optional'}:
                raise ValueError(
                    f'custom_keys[{key!r}] takes lr_mult, decay_mult and optional, got '
                    f'{sorted(extra)}'
                )

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module=None
    ) -> None:
        """Append one group per (learning rate, weight decay) to ``params``."""
        custom = self.paramwise_cfg['custom_keys']
        groups: dict[str, dict] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            key = max((key for key in custom if key in name), key=len, default='')
            group = groups.setdefault(key, dict(params=[]))
            group['params'].append(parameter)
        if not groups:
            raise ValueError(
                'Nothing trains: every parameter of the model has requires_grad=False; set '
                "model.backbone.tuning, e.g. to dict(type='ICA'), or a head with parameters"
            )
        needed = {key for key, options in custom.items() if not options.get('optional')}
        if unused := needed - set(groups):
            raise ValueError(
                f'custom_keys {sorted(unused)} match no trainable parameter; correct them in '
                'optim_wrapper.paramwise_cfg, or give them optional=True'
            )
        for key, group in groups.items():
            options = custom.get(key, {})
            if 'lr_mult' in options:
                group['lr'] = self.base_lr * options['lr_mult']
            if 'decay_mult' in options:
                group['weight_decay'] = self.base_wd * options['decay_mult']
            params.append(group)


def check_schedule(cfg: Config) -> None:
    """Refuse schedules of the learning rate that begin when training has ended, and have no end.

    Args:
        cfg: With ``train_cfg`` and ``param_scheduler``; schedules of iterations are not looked at.

    Raises:
        ValueError: With the field, the epoch at which it begins, and the epochs of the run.

    >>> check_schedule(Config(dict(train_cfg=dict(max_epochs=5), param_scheduler=dict(begin=1))))
    """
    epochs = (cfg.get('train_cfg') or {}).get('max_epochs')
    schedules = cfg.get('param_scheduler') or []
    for number, schedule in enumerate([schedules] if isinstance(schedules, dict) else schedules):
        begin = schedule.get('begin', 0)
        endless = schedule.get('by_epoch', True) and schedule.get('end') is None
        if epochs and endless and begin >= epochs:
            raise ValueError(
                f'param_scheduler {number} ({schedule.get("type")}) begins after epoch {begin}, '
                f'and train_cfg.max_epochs is {epochs}: train longer, or leave it out'
            )
