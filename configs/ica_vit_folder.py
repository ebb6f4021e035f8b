# ICA and proxies without OPA and DPT on any image folder: --cfg-options data_root=FOLDER
_base_ = [
    '_base_/models/dva_vit_base.py',
    '_base_/datasets/folder_224.py',
    '_base_/schedules/adam_cosine_30e.py',
    '_base_/default_runtime.py',
]
model = dict(head=dict(background='none', beta=0.0))
