"""Take images out of an index: python tools/remove.py photos.index photos/old.jpg"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['remove', *sys.argv[1:]]))
