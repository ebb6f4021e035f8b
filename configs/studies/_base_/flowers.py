# Flowers in a folder a class; FLOWERS is the folder, DEIT_TINY a file of weights (default: timm's),
# PRECISION that of the encoder: bf16 takes half the time or less on CPUs that have it.
_weights = '{{$DEIT_TINY:timm}}'
options = {
    'data_root': '{{$FLOWERS:data/flowers}}',
    'reader': 'folder',
    'model.backbone.pretrained': True if _weights == 'timm' else _weights,
    'val_dataloader.num_workers': 1,
}
if '{{$PRECISION:fp32}}' != 'fp32':
    options['precision'] = '{{$PRECISION:fp32}}'
seeds = [0, 1, 2]
_training = 'DeiT-Tiny at 128 px, 5 epochs'
_num_layers = 12
# The configs of one view and of three; the middle of each image stands in for its object's box.
_one, _three = '../ica_deit_tiny_folder.py', '../dva_deit_tiny_folder.py'
_center, _file = _three, '../dva_deit_tiny_folder_boxes.py'
_boxes = {}
_opa_and_pack = (2, 3)  # steps of its pipeline
# Token-level OPA.
_tokens, _token_boxes = '../dva_deit_tiny_folder_tokens.py', {}
# The encoder's learning rates that adapting.py chose on held-out training classes with one view;
# studies of three views take them too.
_rates = {
    'ICA': 4e-3,
    'ICA plus': 1e-3,
    'full fine-tuning': 2e-4,
    'full fine-tuning plus': 2e-4,
}
_dva_rate = _rates['ICA']  # of DVA in the paper's form
# Those that layers.py chose with a warm-up.
_warm_rates = {
    'LoRA plus': 4e-3,
    'VPT deep plus': 4e-3,
    'AdaptFormer plus': 4e-3,
    'ICA plus, MLP': 1e-3,
    'ICA plus, all layers': 1e-3,
}
