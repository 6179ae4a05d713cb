#!/usr/bin/env bash
# Builds the guest again elsewhere and compares every byte with what is committed.
# Exit status: 0 the same, 1 different, 3 different because Debian's packages have moved on.
exec "$(dirname "${BASH_SOURCE[0]}")/build.sh" --check
