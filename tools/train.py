"""Train a model: python tools/train.py configs/dva_demo.py"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))
