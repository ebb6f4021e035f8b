"""Test a checkpoint: python tools/test.py configs/dva_demo.py CHECKPOINT"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))
