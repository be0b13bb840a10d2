"""Which areas carry the decoded state: expected gradients, single traces, deletion, occlusion, and their nulls."""
