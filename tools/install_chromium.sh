#!/bin/sh
# Installs what tests/oracle/report/html/test_page_in_browser.py needs: Debian's chromium (as root), and axe-core into build/axe.
# node and npm have to be there. What is installed already is left alone.
set -eu
AXE=4.14.1
cd "$(dirname "$0")/.."
if ! command -v chromium > /dev/null; then
    apt-get update --quiet
    apt-get install --yes --quiet --no-install-recommends chromium
fi
if ! grep --quiet "\"version\": \"$AXE\"" build/axe/node_modules/axe-core/package.json 2> /dev/null; then
    npm install --prefix build/axe --no-save --no-audit --no-fund --ignore-scripts "axe-core@$AXE"
fi
