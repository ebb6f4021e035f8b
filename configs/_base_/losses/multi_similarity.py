# Wang et al., Multi-Similarity Loss, https://arxiv.org/abs/1904.06627
head = dict(
    type='MetricLearningHead',
    loss=dict(type='MultiSimilarityLoss', alpha=2, beta=50, base=0.5),
    miner=dict(type='MultiSimilarityMiner', epsilon=0.1),
)
batch_size, images_per_class = 32, 4
