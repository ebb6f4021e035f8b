# Flowers in a folder a class; FLOWERS is the folder, DEIT_TINY a file of weights (default: timm's).
_weights = '{{$DEIT_TINY:timm}}'
options = {
    'data_root': '{{$FLOWERS:data/flowers}}',
    'reader': 'folder',
    'model.backbone.pretrained': True if _weights == 'timm' else _weights,
    'val_dataloader.num_workers': 1,
}
seeds = [0, 1, 2]
# The configs of one view and of three; the middle of each image stands in for its object's box.
_one, _three = '../ica_deit_tiny_folder.py', '../dva_deit_tiny_folder.py'
_boxes = {}
# Token-level OPA.
_tokens, _token_boxes = '../dva_deit_tiny_folder_tokens.py', {}
