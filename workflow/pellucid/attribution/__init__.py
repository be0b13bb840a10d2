"""Attribution shared by the systems: shuffling with its null, expected gradients, and occlusion."""
