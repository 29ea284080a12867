"""Reads the paths of the JSON list on standard input as Synapse reads its --config-path.

Prints which files those are, and the settings, each value with its type.
"""

import json
import sys

from synapse.config._base import find_config_files, read_config_files
from values import typed

real, sys.stdout = sys.stdout, sys.stderr
files = find_config_files(json.load(sys.stdin))
json.dump({"files": files, "values": typed(read_config_files(files))}, real)
