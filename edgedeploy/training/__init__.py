"""Training: labelled pictures in, one weight file per resolution out. Needs torch."""
