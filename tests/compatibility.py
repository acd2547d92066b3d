"""Run flimage's own tests against this package: ``python -m tests.compatibility``.

The tests are in flimage's source package only, which pip fetches; nothing of it is kept.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FLIMAGE = "flimage==0.3.3"


def main() -> int:
    """Fetch flimage's tests, change what they import, and run them."""
    with tempfile.TemporaryDirectory() as folder:
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*fetch, "--dest", folder, FLIMAGE], check=True)
        (package,) = Path(folder).glob("flimage-*.tar.gz")
        with tarfile.open(package) as archive:
            archive.extractall(folder, filter="data")
        (tests,) = Path(folder).glob("flimage-*/tests")
        for script in tests.glob("*.py"):
            source = script.read_text()
            changed = source.replace("import flimage\n", "import flimage_dask as flimage\n")
            if changed == source:
                raise RuntimeError(f"{script.name} does not import flimage as expected.")
            script.write_text(changed)
        environment = {**os.environ, "PYTEST_ADDOPTS": ""}
        run = [sys.executable, "-m", "pytest", "--rootdir", str(tests), "-p", "no:cacheprovider", str(tests)]
        return subprocess.run(run, check=False, cwd=tests, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
