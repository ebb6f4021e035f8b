"""Download, verify, unpack and check a data set: python tools/prepare_data.py NAME"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['prepare', *sys.argv[1:]]))
