# ViT-B/16, AugReg weights of ImageNet-21k: pixels normalised by 0.5, 0.5.
model = dict(
    type='DVARetriever',
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True),
    backbone=dict(
        type='FrozenViT',
        arch='vit_base_patch16_224.augreg_in21k',
        pretrained=True,
        img_size=224,
        tuning=dict(type='ICA', rank=16, act='GELU', scale=1.0),
    ),
    head=dict(
        type='DVAHead',
        num_classes=None,  # counted in the training set
        temperature=0.05,
        background='proxy',
        beta=1.0,
        dpt=dict(type='DPTLoss', mode='kl'),
    ),
)
