"""Files and arrays before the network: reading, scaling, targets, data sets, phantoms."""
