"""Convert stage: a trained model in, a model with other layers and nearly the same answers out."""
