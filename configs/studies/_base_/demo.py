# The drawn birds of the demo, with their true boxes; needs no data and no weights.
seeds = [0, 1, 2]
_training = 'the micro ViT at 96 px, 8 epochs'
_num_layers = 6
_one, _three = '../demo/ica.py', '../dva_demo.py'
_center, _file = '../demo/center_boxes.py', '../dva_demo.py'
_boxes = {}
# The learning rates that demo.py chose on held-out training species.
_rates = {'ICA': 1.2e-2}
_dva_rate = 3e-3
