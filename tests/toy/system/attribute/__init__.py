"""Part `attribute` of the toy system."""
