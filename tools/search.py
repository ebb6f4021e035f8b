"""Search an index: python tools/search.py photos.index query.jpg -k 20"""

import sys

from dva_mm.retrieval.run import search_main

if __name__ == '__main__':
    sys.exit(search_main())
