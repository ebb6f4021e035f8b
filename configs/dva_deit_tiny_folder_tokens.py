# As dva_deit_tiny_folder.py, by token-level OPA: the object's and the background's views are patch
# tokens of the one image.
_base_ = 'ica_deit_tiny_folder.py'
model = dict(head=dict(background='proxy', beta=1.0))
views = dict(
    type='TokenOPA',
    resize=[dict(type='ResizeAntialiased', scale=(146, 146))],
    size=128,
)
keys = ('has_background', 'object_patches', 'background_patches', 'patch_grid')
pack = dict(type='PackInputs', algorithm_keys=keys)
train_pipeline = [dict(type='LoadImage'), dict(type='CenterBox', share=0.7), views, pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
