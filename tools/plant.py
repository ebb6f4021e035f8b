"""Paste objects into scenes: python tools/plant.py OBJECTS SCENES --classes N --out FOLDER"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['plant', *sys.argv[1:]]))
