#!/bin/sh
# Makes the environment for Pipecat, apart from ours: loadtest/peers/pipecat/setup.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-"$here/.venv"}
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --requirement "$here/requirements.txt"
echo "$folder/bin/python"
