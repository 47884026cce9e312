"""What `ray submit cluster.yaml submit.py ...` runs on the cluster's head: `twin` with the same arguments."""

import os

from twin.cli import main

if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    main()
