"""The embedded demo: its drawn birds, and the drawings on which its encoder was pre-trained."""

from .dataset import DemoObjects, DemoParts, draw_demo, draw_objects, draw_parts

__all__ = ['DemoObjects', 'DemoParts', 'draw_demo', 'draw_objects', 'draw_parts']
