"""What sharing is worth in missile warning: landing ellipse against time with one, two and three nations' radars.

    .venv/bin/python benchmarks/sharing.py [--tiny] [--plot docs/images/sharing.png]

The same as `trilat bench sharing`, for `make bench`.
"""

from trilat.cli.bench_sharing import command

if __name__ == "__main__":
    command()
