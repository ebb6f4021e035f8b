"""Write each image's box into a file: python tools/cache_boxes.py CONFIG --source attention"""

from dva_mm.detection.run import main

if __name__ == '__main__':
    main()
