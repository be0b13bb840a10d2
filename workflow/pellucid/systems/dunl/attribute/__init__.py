"""The decomposition of single trials into components, what codes follow, and how far both can be trusted."""
