"""The builders that the registry names; each returns a Keras model."""
