"""Cortex: behavioural state from cortex-wide calcium imaging, by a CNN-RNN or an RNN on ROIs (Ajioka et al. 2024)."""
