"""Run configs x seeds, and write tables of them: python tools/study.py configs/studies/demo.py"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['study', *sys.argv[1:]]))
