"""Where and what: positions, feature weights and types, fields, and checks of all of them."""
