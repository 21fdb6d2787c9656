"""A VGG for CIFAR-10, and what `edgedeploy convert --method dac` makes of it."""
