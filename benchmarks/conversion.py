"""How long a checkpoint takes to become a weights folder, and back.

  python -m benchmarks.conversion

Converts random weights of R50 (150 MB) by the command line, processes and all, and prints the time
for 100 MB; at most 10 s of it is what the project stands for.
"""

import pathlib
import subprocess
import sys
import tempfile
import time


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)

        def convert(source: object, target: pathlib.Path) -> float:
            start = time.perf_counter()
            command = [sys.executable, "-m", "senet_jax.convert", str(source), str(target)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - start

        convert("random:r50:0", root / "made")
        convert(root / "made", root / "r50.pth")
        megabytes = (root / "r50.pth").stat().st_size / 1e6
        for label, source, target in (
            ("to a folder", root / "r50.pth", root / "folder"),
            ("to a checkpoint", root / "folder", root / "back.pth"),
        ):
            seconds = convert(source, target)
            print(
                f"{label}: {seconds:.1f} s for {megabytes:.0f} MB, "
                f"{seconds / megabytes * 100:.1f} s for 100 MB"
            )


if __name__ == "__main__":
    main()
