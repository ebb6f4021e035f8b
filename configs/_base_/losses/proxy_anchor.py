# Kim et al., Proxy Anchor Loss for Deep Metric Learning, https://arxiv.org/abs/2003.13911
head = dict(
    type='MetricLearningHead',
    loss=dict(
        type='ProxyAnchorLoss',
        margin=0.1,
        alpha=32,
        weight_init_func=dict(type='kaiming_normal_', mode='fan_out'),
    ),
)
batch_size, images_per_class = 32, 4
