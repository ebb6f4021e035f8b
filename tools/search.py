"""Search an index: python tools/search.py photos.index query.jpg"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['search', *sys.argv[1:]]))
