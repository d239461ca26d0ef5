"""Third-party programs, pinned, in virtual environments below .build/ that are made when they are first needed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from .stack import ROOT

INSTALL_SECONDS_MAX = 600


def python_with(requirements: Path) -> Path:
    """The interpreter of an environment that holds exactly these pinned packages."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = ROOT / ".build" / "python" / f"{requirements.stem}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"Installing {requirements.name} into {folder} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                   "--requirement", str(requirements)]
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS_MAX, stdin=subprocess.DEVNULL)
        (folder / "complete").touch()
    return python
