# The bench of the baselines: a loss of losses/ on an encoder of encoders/, chosen by two variables,
# LOSS=proxy_anchor ENCODER=ica python tools/train.py configs/baseline_cub.py
_base_ = [
    'encoders/{{$ENCODER:ica}}.py',
    'losses/{{$LOSS:proxy_anchor}}.py',
    'default_runtime.py',
]
model = dict(
    type='DVARetriever',
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True),
    backbone=dict(
        type='FrozenViT',
        arch='vit_base_patch16_224.augreg_in21k',
        pretrained=True,
        img_size=224,
        tuning={{_base_.tuning}},
    ),
    neck={{_base_.neck}},
    head={{_base_.head}},
)
optim_wrapper = dict(
    constructor='TrainableOptimWrapperConstructor',
    optimizer=dict(type='Adam', lr={{_base_.lr}}),
    # Proxies and centres take larger steps; a loss of pairs has none.
    paramwise_cfg=dict(
        custom_keys={
            'head.': dict(lr_mult={{_base_.head_lr_mult}}, optional=True),
        }
    ),
)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=5)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=32, enable=False)
