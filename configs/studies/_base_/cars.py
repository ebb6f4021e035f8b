# Cars, cropped to their boxes, in a folder a class; CARS is the folder.
_base_ = 'flowers.py'
options = {'data_root': '{{$CARS:data/cars}}'}
