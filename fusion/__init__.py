"""Arrays in, labels out: how the outputs of networks become objects."""
