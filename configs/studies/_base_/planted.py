# Cars planted small into photographs of flowers, with their true boxes; PLANTED is the folder:
# python tools/plant.py CARS FLOWERS --classes 98 --size 0.4 0.7 --out data/planted
_base_ = 'flowers.py'
options = {'data_root': '{{$PLANTED:data/planted}}', 'reader': 'csv'}
_three = '../dva_deit_tiny_folder_boxes.py'
_opa_and_pack = (1, 2)
_boxes = {'train_dataloader.dataset.boxes': 'annotation'}
_keys = ('has_background', 'object_patches', 'background_patches', 'patch_grid')
_token_boxes = {
    **_boxes,
    'train_dataloader.dataset.pipeline': [
        dict(type='LoadImage'),
        dict(type='TokenOPA', resize=[dict(type='ResizeAntialiased', scale=(146, 146))], size=128),
        dict(type='PackInputs', algorithm_keys=_keys),
    ],
}
# Those that adapting.py chose with three views; studies of one view take them too.
_rates = {
    'ICA': 4e-3,
    'ICA plus': 2e-3,
    'full fine-tuning': 1e-4,
    'full fine-tuning plus': 2e-4,
}
_dva_rate = 4e-3
# Those that layers.py chose with a warm-up, with one view.
_warm_rates = {'_delete_': True, 'ICA plus': 4e-3, 'full fine-tuning plus': 4e-4}
