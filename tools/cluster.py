"""Sort the images of an index into clusters: python tools/cluster.py photos.index -k 20"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['cluster', *sys.argv[1:]]))
