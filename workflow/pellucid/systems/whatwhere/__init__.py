"""What / where: a shared convolutional core, read out by a spatial mask and feature weights (Klindt et al. 2017)."""
