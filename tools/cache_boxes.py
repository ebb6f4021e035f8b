"""Write each image's box into a file: tools/cache_boxes.py CONFIG --detector type=PatchPCA"""

from dva_mm.detection.run import main

if __name__ == '__main__':
    main()
