from .image import exif_orientation  # noqa: F401
