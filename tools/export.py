"""Export a model to one file: python tools/export.py CONFIG CHECKPOINT --out model.onnx"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['export', *sys.argv[1:]]))
