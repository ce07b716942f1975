"""The smallest model that the zoo would take, as CONTRIBUTING's checklist makes one."""

import keras
from keras import layers

from zoo import registry
from zoo.entry import Entry, Port, Ref, Source
from zoo.models.unet import BATCH_NORM
from zoo.recipe import Recipe

NAME = "blobs"


def build_blobs(recipe: Recipe) -> keras.Model:
    """Build one convolution, a norm, and one voxel of each pooling's cell put back."""
    inputs = keras.Input((None, None, None, 1), name="image")
    x = layers.Conv3D(recipe.base, recipe.kernel, padding="same", name="conv")(inputs)
    if recipe.norm == "batch":
        x = layers.BatchNormalization(**BATCH_NORM, name="norm")(x)
    else:
        x = layers.GroupNormalization(groups=-1, epsilon=1e-5, name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.MaxPooling3D(recipe.multiple, name="pool")(x)
    x = layers.UpSampling3D(recipe.multiple, name="grow")(x)
    logits = layers.Conv3D(2, 1, name="logits")(x)
    # float32 whatever the policy
    outputs = layers.Softmax(dtype="float32", name="probability")(logits)
    return keras.Model(inputs, outputs, name=NAME)


def blobs_parameters(recipe: Recipe) -> int:
    """Count the parameters of :func:`build_blobs`."""
    norm = 4 if recipe.norm == "batch" else 2
    return recipe.base * (recipe.kernel**3 + 1 + norm) + 2 * (recipe.base + 1)


ENTRY = Entry(
    name=NAME,
    task="semantic",
    summary="one convolution that finds what is bright",
    inputs=Port(
        name="image", axes="NZYXC", dtype="float32", spacing_um=registry.MOUSE_EMBRYO_UM, multiple_of=2
    ),
    outputs=(Port(name="probability", axes="NZYXC", dtype="float32"),),
    build=Ref("example_model:build_blobs"),
    size=Ref("example_model:blobs_parameters"),
    prepare=Ref("zoo.prepare:isotropic"),
    fuse=Ref("zoo.fusion.watershed:components"),
    recipes={"default": Recipe(poolings=1, base=4)},
    tiny={"base": 2, "patch": (16, 16, 16), "voxel_um": 3.2, "epochs": 2},
    source=Source(paper="none", licence="MIT", differs="an example for those who add a model"),
)

PAGE = f"""# {NAME}

One convolution that finds what is bright; an example, not a method.

| | |
| --- | --- |
| in | (n, z, y, x, 1) float32, sizes divisible by 2, percentile-scaled, cubes of the recipe's `voxel_um` |
| out | (n, z, y, x, 2) float32, probabilities of background and nucleus |
| parameters | 130 |
| learns | nucleus masks |
"""
