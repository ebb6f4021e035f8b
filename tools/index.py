"""Index a folder of images: python tools/index.py photos/ --model M --out photos.index"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['index', *sys.argv[1:]]))
