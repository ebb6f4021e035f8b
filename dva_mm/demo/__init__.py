"""The embedded demo: its birds, drawn at the first use."""

from .dataset import draw_demo

__all__ = ['draw_demo']
