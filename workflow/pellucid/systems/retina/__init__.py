"""Which few interneurons of a fitted retina network produce each response (Tanaka et al. 2019, Maheswaranathan et al. 2023)?"""
