"""The Dagster code location: everything in defs/. Asset implementations do not belong here."""

import warnings
from pathlib import Path

import dagster as dg

# partitioned asset checks are a preview API; the version is pinned and tests cover what we use
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

defs = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
