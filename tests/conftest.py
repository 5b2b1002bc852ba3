import os
import tempfile

# Eight devices on any machine; it must be set before JAX starts.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
# Commands under test keep their compiled programs here and not in the user's cache.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", tempfile.mkdtemp(prefix="senet_jax_tests_"))
