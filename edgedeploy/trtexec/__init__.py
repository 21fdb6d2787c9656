"""NVIDIA's own program as a second road: what to type into trtexec, and what its output says."""
