"""cuda-python with an acted-out GPU; `tests.test_gpu_suite` puts it before the real one."""
