"""Measure an approximate index: python tools/check.py photos.index"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['check', *sys.argv[1:]]))
