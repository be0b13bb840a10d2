"""Attribution shared by the systems: shuffling, interactions of pairs, expected gradients, and occlusion."""
