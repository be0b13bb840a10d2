"""Models of retinal ganglion cells: convolutional networks, LN models and GLMs, their fits and their scores."""
