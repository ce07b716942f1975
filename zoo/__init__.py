"""cellzoo: 3-D fluorescence stacks in, counted and measured cells and nuclei out."""

__version__ = "0.1.0"
