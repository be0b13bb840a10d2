"""Part `features` of the toy system."""
