# Teh et al., ProxyNCA++, https://arxiv.org/abs/2004.01113: softmax over all proxies of the negative
# squared distance of unit vectors, 2 - 2 cos, at temperature 1/9; so the cosine's is 1/18.
head = dict(type='MetricLearningHead', loss=dict(type='NormalizedSoftmaxLoss', temperature=1 / 18))
batch_size, images_per_class = 32, 4
