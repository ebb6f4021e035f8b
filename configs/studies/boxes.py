# Table 6: where the boxes come from: DATA=flowers, planted or demo. First make the files of boxes:
# python tools/cache_boxes.py CONFIG --detector type=AttentionBoxes \
#     --out work_dirs/boxes/DATA_train_attention.jsonl
# and with type=PatchPCA DATA_train_patch-pca.jsonl. CONFIG is configs/dva_demo.py; for the others
# configs/dva_deit_tiny_folder_boxes.py, with img_size=224 beside the type, and
# --cfg-options data_root=...
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'boxes_{{$DATA:flowers}}'
description = f"""Boxes of DVA on {{$DATA:flowers}}: {_base_._training}. The whole image has no
background view."""
options = {_base_._lr: _base_._dva_rate}
_path = 'work_dirs/boxes/{{$DATA:flowers}}_train_{}.jsonl'
_boxes = 'train_dataloader.dataset.boxes'
_share = 'train_dataloader.dataset.pipeline.1.share'
rows = {
    'ICA, one view': dict(config=_base_._one, options={_base_._lr: _base_._rates['ICA']}),
    'whole image': dict(
        config=_base_._center, options={_share: 0.999, 'model.head.background': 'none'}
    ),
    'centre, 0.7': dict(config=_base_._center),
    'attention': dict(config=_base_._file, options={_boxes: _path.format('attention')}),
    'patch-pca': dict(config=_base_._file, options={_boxes: _path.format('patch-pca')}),
}
if '{{$DATA:flowers}}' in ('planted', 'demo'):
    rows['true'] = dict(config=_base_._file, options={_boxes: 'annotation'})
baseline = 'ICA, one view'
