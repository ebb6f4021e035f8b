# Brown et al., Smooth-AP, https://arxiv.org/abs/2007.12163. PML computes it right only for as many
# classes in a batch (of all processes) as images of each.
head = dict(type='MetricLearningHead', loss=dict(type='SmoothAPLoss', temperature=0.01))
batch_size, images_per_class = 36, 6
