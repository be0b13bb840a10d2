"""Part `model` of the toy system."""
