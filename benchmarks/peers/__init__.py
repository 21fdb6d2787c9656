"""Other people's quantisers, made and run on the very inputs that edgedeploy's own are."""
