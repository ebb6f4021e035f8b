"""Download, verify, unpack and check a data set: python tools/prepare_data.py NAME"""

import sys

from dva_mm.prepare.run import main

if __name__ == '__main__':
    sys.exit(main())
