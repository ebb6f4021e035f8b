# The proxies of DVA itself, on one view: what the baselines are compared with.
head = dict(type='DVAHead', num_classes=None, temperature=0.05, background='none', beta=0.0)
batch_size, images_per_class = 32, 4
