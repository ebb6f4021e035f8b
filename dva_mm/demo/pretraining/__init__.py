"""What re-creates the demo's encoder: ``python -m dva_mm.demo.pretraining``. Not in the wheel."""

from .datasets import DemoTagged, draw_tagged

__all__ = ['DemoTagged', 'draw_tagged']
