"""Write each image's box into a file: tools/cache_boxes.py CONFIG --detector type=PatchPCA"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['boxes', *sys.argv[1:]]))
