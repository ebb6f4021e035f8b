"""Write a run's weights alone: python tools/publish_model.py CHECKPOINT OUT.safetensors"""

import argparse

from dva_mm.engine import publish

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help="a run's checkpoint")
    parser.add_argument('out', help='file to write: .pth or .safetensors')
    parser.add_argument('--with-head', action='store_true', help='keep the class proxies too')
    parser.add_argument(
        '--backbone',
        action='store_true',
        help='write the backbone alone, for model.backbone.pretrained (runs that train all of it)',
    )
    args = parser.parse_args()
    path = publish(args.checkpoint, args.out, args.with_head, args.backbone)
    print(f'{path}: {path.stat().st_size / 1e6:.2f} MB')
