"""Write a page of ranked images: python tools/show.py CONFIG CHECKPOINT --out page.html"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['show', *sys.argv[1:]]))
