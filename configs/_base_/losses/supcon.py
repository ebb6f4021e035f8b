# Khosla et al., Supervised Contrastive Learning, https://arxiv.org/abs/2004.11362
head = dict(type='MetricLearningHead', loss=dict(type='SupConLoss', temperature=0.1))
batch_size, images_per_class = 32, 4
