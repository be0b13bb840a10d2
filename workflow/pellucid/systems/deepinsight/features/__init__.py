"""From a recording to rows of wavelet power and behaviour."""
