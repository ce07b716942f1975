"""The plugin for napari: any pipeline that gives 3-D labels, on the layer that one looks at."""
