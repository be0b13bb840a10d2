"""One module per stage: load, call the system or the reader, write. No science lives here."""
