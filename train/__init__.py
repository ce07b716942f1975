"""Fitting a registry entry: batches, losses, devices, run folders, the loop."""
