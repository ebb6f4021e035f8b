default_scope = 'mmpretrain'
custom_imports = dict(imports=['dva_mm'], allow_failed_imports=False)

# By name, so that a config that inherits can change or add one; NAME=None switches one off.
default_hooks = dict(
    runtime_info=dict(type='DeferredRuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Two are kept, so that a kill while one is written leaves the other. Of all retrieval metrics,
    # greater is better: save_best='retrieval/Recall@1' needs no rule.
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        greater_keys=['retrieval/', 'accuracy/'],
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    trainable_parameters=dict(type='TrainableParametersHook'),
    frozen_baseline=dict(type='FrozenBaselineHook'),
    progress_bar=dict(type='ProgressBarHook'),
    epoch_seed=dict(type='EpochSeedHook'),
    non_finite_loss=dict(type='NonFiniteLossHook'),
    resumed_schedule=dict(type='ResumedScheduleHook'),
    whitening=dict(type='WhiteningHook'),  # of model.neck=dict(type='Whitening') alone
    encoder_check=dict(type='EncoderCheckHook'),
    adapter_checkpoint=dict(type='AdapterCheckpointHook'),
)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)
log_processor = dict(window_size=10)
log_level = 'INFO'
randomness = dict(seed=0, deterministic=False)
load_from = None
resume = False
