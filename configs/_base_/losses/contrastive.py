# Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping (CVPR 2006), on cosines:
# pairs of a class are pulled to 1, others pushed below 0.5.
head = dict(
    type='MetricLearningHead',
    loss=dict(
        type='ContrastiveLoss',
        distance=dict(type='CosineSimilarity'),
        pos_margin=1.0,
        neg_margin=0.5,
    ),
)
batch_size, images_per_class = 32, 4
