#!/bin/sh
# Makes .env out of .env.example: a secret of its own wherever none is given. Keeps one that is there.
set -eu
cd "$(dirname "$0")"
if [ -e .env ]; then
  echo "deploy/.env is there already; it stays as it is." >&2
  exit 0
fi
umask 077
while IFS= read -r line || [ -n "$line" ]; do
  case "$line" in
    [A-Z]*=) printf '%s%s\n' "$line" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" ;;
    *) printf '%s\n' "$line" ;;
  esac
done <.env.example >.env.partial
mv .env.partial .env
