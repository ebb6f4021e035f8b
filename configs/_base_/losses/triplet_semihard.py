# Schroff et al., FaceNet, https://arxiv.org/abs/1503.03832: semi-hard triplets.
head = dict(
    type='MetricLearningHead',
    loss=dict(type='TripletMarginLoss', margin=0.2),
    miner=dict(type='TripletMarginMiner', margin=0.2, type_of_triplets='semihard'),
)
batch_size, images_per_class = 32, 4
