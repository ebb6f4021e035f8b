"""Where OPA's boxes come from: each source of ``sources/`` fills the same file of boxes."""
