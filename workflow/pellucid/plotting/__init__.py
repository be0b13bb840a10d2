"""Style and saving of figures shared by the systems."""
