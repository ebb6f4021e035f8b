# Qian et al., SoftTriple Loss, https://arxiv.org/abs/1909.05235
head = dict(
    type='MetricLearningHead',
    loss=dict(type='SoftTripleLoss', centers_per_class=10, la=20, gamma=0.1, margin=0.01),
)
batch_size, images_per_class = 32, 4
