"""Runs of networks that learnt nothing, for tests of exported models."""

from dataclasses import replace

import keras
import numpy as np

from zoo import registry
from zoo.recipe import change
from zoo.recipe_detector import DetectorRecipe
from zoo.train import runs


def make_run(path, name, **changed):
    """A run folder with untrained weights; biases are drawn too, else half of a mask would be ties."""
    entry = registry.get(name)
    recipe = entry.recipes["default"]
    if isinstance(recipe, DetectorRecipe):
        recipe = replace(recipe, members=())
    recipe = change(recipe, {**entry.tiny, **changed})
    run = runs.create(path, {"entry": name, "recipe": recipe.to_dict(), "seed": 0}, overwrite=False)
    keras.utils.set_random_seed(0)  # or now and then a detection is on the edge of being one
    model, rng = entry.build.load()(recipe), np.random.default_rng(0)
    if entry.keras == "tf_keras":
        from zoo.train import store

        store.save(run.best, {"model": model.get_weights()})
    else:
        model.set_weights([w + rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
        model.save_weights(run.best)
    return run
