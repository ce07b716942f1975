"""Make the README's picture by the weights that come with the package: ``python docs/make_picture.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoo import registry
from zoo.data.phantom import embryo
from zoo.data.write import atomic
from zoo.evaluate.mosaic import first_label, max_projection
from zoo.evaluate.pictures import colour_labels, grey_levels, map_levels, png
from zoo.segment import segment
from zoo.weights import open_networks

ZOOM = 2
SEED = 104


def main() -> None:
    """Segment a synthetic embryo and set image, NSN, NDN and labels side by side."""
    entry = registry.get("qcanet")
    networks = open_networks(entry, [])
    made = embryo(SEED, nuclei=20)
    result = segment(entry, networks, made.image, made.spacing)
    greys = [grey_levels(max_projection(made.image))[0]]
    greys += [map_levels(max_projection(layer))[0] for layer in result.layers.values()]
    panels = [np.repeat(grey[..., None], 3, axis=2) for grey in greys]
    panels.append(colour_labels(first_label(result.labels)))
    picture = np.concatenate(panels, axis=1).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    with atomic(Path(__file__).parent / "images" / "embryo.png") as part:
        part.write_bytes(png(picture))


if __name__ == "__main__":
    main()
