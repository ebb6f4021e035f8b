# Deng et al., ArcFace, https://arxiv.org/abs/1801.07698: an angle of 0.5 rad, scale 64.
head = dict(
    type='MetricLearningHead',
    loss=dict(type='ArcFaceLoss', margin=28.6, scale=64),
)
batch_size, images_per_class = 32, 4
