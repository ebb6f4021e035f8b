"""Test a checkpoint: python tools/test.py configs/dva_demo.py CHECKPOINT"""

from dva_mm.engine.launch import test

if __name__ == '__main__':
    test()
