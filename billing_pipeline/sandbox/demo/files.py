"""The demo's files: written whole, and named as people find them."""

import os
from pathlib import Path

from billing_pipeline.settings import ROOT
from billing_pipeline.settings.environment import private_folder


def write_whole(path: Path, text: str) -> None:
    """Whole or not at all: a killed demo leaves no half file behind."""
    private_folder(path.parent)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def short(path: Path) -> str:
    """Below the checkout from there on, elsewhere in full."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
