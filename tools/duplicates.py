"""Find near copies in an index: python tools/duplicates.py photos.index"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['duplicates', *sys.argv[1:]]))
