"""From a recording to binned trials with their events and covariates."""
