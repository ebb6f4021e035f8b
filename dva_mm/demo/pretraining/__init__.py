"""What re-creates the demo's encoder: ``python -m dva_mm.demo.pretraining``. Not in the wheel."""

from .datasets import DemoObjects, DemoParts, draw_objects, draw_parts

__all__ = ['DemoObjects', 'DemoParts', 'draw_objects', 'draw_parts']
