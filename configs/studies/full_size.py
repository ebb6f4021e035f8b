# The main table at full size, for a GPU: DATA=flowers, cars or planted; PLANTED is data/planted or
# one of the folders of clutter.py, such as data/planted_050. EPOCHS of each run (default 10),
# WORKERS read the images (default 8), CACHE is a folder for their pixels, which rows of one view
# share (default: none), PRECISION is the encoder's (default bf16).
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
_set = '{{$DATA:flowers}}'
if _set == 'planted':
    _set = '{{$PLANTED:data/planted}}'.rstrip('/').rpartition('/')[2]
_epochs = int('{{$EPOCHS:10}}')
name = f'full_size_{_set}'
description = f"""Ways of training the encoder on {_set}: DeiT-Tiny at 224 px, {_epochs} epochs, the
first of them a warm-up. Plus: the embedding is class token and mean of the patches, whitened by the
training classes; of ICA also rank 64 on Q, K and V. On all layers: of rank 64 beside each linear
layer. MLP: of rank 64 on Q, K, V and beside each MLP. Prompts: the ten of VPT in each block beside
them."""
_train, _views = 'train_dataloader.dataset.pipeline', 'train_dataloader.dataset.pipeline.2'
if '{{$DATA:flowers}}' == 'planted':  # whose boxes come with it
    _views = f'{_train}.1'
_resized = (256, 256)
options = {
    'model.backbone.img_size': 224,
    'train_cfg.max_epochs': _epochs,
    'param_scheduler': _base_._warm_up,
    'precision': '{{$PRECISION:bf16}}',
    'default_hooks.frozen_baseline': None,  # a row of its own
    **{
        f'{side}_dataloader.{option}': value
        for side in ('val', 'test')
        for option, value in {
            'dataset.pipeline.1.scale': _resized,
            'dataset.pipeline.2.crop_size': 224,
        }.items()
    },
    **{f'{side}_dataloader.num_workers': int('{{$WORKERS:8}}') for side in ('train', 'val')},
}
_one_view = {f'{_train}.1.scale': _resized, f'{_train}.2.size': 224}
_three_views = {
    **_base_._boxes,
    f'{_views}.resize.0.scale': _resized,
    f'{_views}.original.0.size': 224,
    f'{_views}.discriminative.0.scale': (224, 224),
    f'{_views}.discriminative.1.size': 224,
}
if '{{$CACHE:none}}' != 'none':
    _one_view.update(
        {
            f'{side}_dataloader.dataset.cache': dict(
                folder='{{$CACHE:none}}/' + _set, scale=_resized
            )
            for side in ('train', 'val', 'test')
        }
    )
_views_of = {'': (_base_._one, _one_view), ', three views': (_base_._three, _three_views)}
_full, _middle = {_base_._lr: [5e-5, 1e-4, 2e-4, 4e-4]}, _base_._middle
_grids = {
    'full fine-tuning': _full,
    'full fine-tuning plus': _full,
    'LoRA plus': _base_._small,
    'LoRA plus, all layers': _middle,
    'VPT deep plus': _base_._large,
    'AdaptFormer plus': _base_._large,
    'ICA': _base_._small,
    'ICA plus': _middle,
    'ICA plus, MLP': _middle,
    'ICA plus, all layers': _middle,
    'ICA plus, all layers, rank 16': _middle,
    'ICA plus, all layers, prompts': _middle,
}
rows = {
    'frozen': dict(config=_base_._one, options=_one_view, frozen=True),
    **{
        f'{way}{views}': dict(config=config, options={**_base_._ways[way][0], **more}, grid=grid)
        for way, grid in _grids.items()
        for views, (config, more) in _views_of.items()
    },
}
seeds = [0, 1, 2, 3, 4]
search = dict(val_classes=_base_._held_out, seeds=[0, 1])
metrics = ['Recall@1', 'Recall@8', 'trainable', 'cuda_mb']
baseline = 'full fine-tuning plus' + (', three views' if '{{$DATA:flowers}}' == 'planted' else '')
plot = dict(title=f'{_set}: DeiT-Tiny at 224 px')
