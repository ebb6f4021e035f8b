"""Write a run's weights alone: python tools/publish_model.py CHECKPOINT OUT.safetensors"""

import sys

from dva_mm.__main__ import main

if __name__ == '__main__':
    sys.exit(main(['publish', *sys.argv[1:]]))
