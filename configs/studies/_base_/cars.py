# Cars, cropped to their boxes, in a folder a class; CARS is the folder.
_base_ = 'flowers.py'
options = {'data_root': '{{$CARS:data/cars}}'}
# As in flowers.py.
_rates = {
    'ICA': 4e-3,
    'ICA plus': 2e-3,
    'full fine-tuning': 2e-4,
    'full fine-tuning plus': 1e-4,
}
_warm_rates = {
    '_delete_': True,
    'AdaptFormer plus': 4e-3,
    'ICA plus, MLP': 2e-3,
    'ICA plus, all layers': 2e-3,
    'full fine-tuning plus': 4e-4,
}
