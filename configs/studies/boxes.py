# Table 6: where the boxes come from: DATA=flowers or planted. The files are those of
# python tools/cache_boxes.py configs/dva_deit_tiny_folder_boxes.py --detector type=AttentionBoxes
# (and type=PatchPCA) --cfg-options data_root=..., with img_size=224 beside the type.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'boxes_{{$DATA:flowers}}'
description = """Boxes of DVA on {{$DATA:flowers}}: DeiT-Tiny at 128 px, 5 epochs. The whole image
has no background view."""
options = {_base_._lr: _base_._rates['ICA']}
_file = 'work_dirs/boxes/{{$DATA:flowers}}_train_{}.jsonl'
_boxes = 'train_dataloader.dataset.boxes'
_share = 'train_dataloader.dataset.pipeline.1.share'
_with_file, _with_center = '../dva_deit_tiny_folder_boxes.py', '../dva_deit_tiny_folder.py'
rows = {
    'ICA, one view': dict(config=_base_._one),
    'whole image': dict(
        config=_with_center, options={_share: 0.999, 'model.head.background': 'none'}
    ),
    'centre, 0.7': dict(config=_with_center),
    'attention': dict(config=_with_file, options={_boxes: _file.format('attention')}),
    'patch-pca': dict(config=_with_file, options={_boxes: _file.format('patch-pca')}),
}
if '{{$DATA:flowers}}' == 'planted':
    rows['true'] = dict(config=_with_file, options={_boxes: 'annotation'})
baseline = 'ICA, one view'
