"""Train a model: python tools/train.py configs/dva_demo.py"""

from dva_mm.engine.launch import train

if __name__ == '__main__':
    train()
