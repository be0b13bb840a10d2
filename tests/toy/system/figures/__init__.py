"""Part `figures` of the toy system."""
