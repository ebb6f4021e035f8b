"""Index a folder of images: python tools/index.py photos/ --model M --out photos.index"""

import sys

from dva_mm.retrieval.run import index_main

if __name__ == '__main__':
    sys.exit(index_main())
