"""Attribution shared by the systems: shuffling, its intervals and its null."""
