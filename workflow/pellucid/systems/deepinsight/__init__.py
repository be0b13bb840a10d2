"""DeepInsight: decode behaviour from wide-band recordings and find the bands that carry it (Frey et al. 2021)."""
