"""Part `simulate` of the toy system."""
