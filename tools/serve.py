"""Serve a page that searches an index: python tools/serve.py photos.index"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['serve', *sys.argv[1:]]))
