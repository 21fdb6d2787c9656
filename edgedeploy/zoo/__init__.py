"""MobileNets as rows of data, and the weight files that fill them."""
