#!/bin/sh
# What `expected` asks, with curl.
set -eu
url=$1

ask() { curl -sS --max-time 30 "$url/chat/completions" -H 'Content-Type: application/json' "$@"; }
said() { python3 -c 'import json,sys; print(json.load(sys.stdin)["choices"][0]["message"]["content"])'; }
pieces() {
  sed -n 's/^data: \({.*\)/\1/p' | python3 -c '
import json, sys
chunks = [json.loads(line) for line in sys.stdin]
print("".join(c["choices"][0]["delta"].get("content") or "" for c in chunks))'
}
body() { printf '{"model":"%s","messages":[{"role":"user","content":"%s"}]%s}' "$1" "$2" "${3:-}"; }
status() { ask -o /dev/null -w '%{http_code}' -d "$1"; }

plain_agent=$(body potluck plain | ask -d @- | said)
plain_alone=$(body auto plain | ask -d @- | said)
streamed_agent=$(body potluck streamed ',"stream":true' | ask -N -d @- | pieces)
streamed_alone=$(body auto streamed ',"stream":true' | ask -N -d @- | pieces)
# It leaves when it has waited for a second
body auto endless ',"stream":true' | ask -N -d @- --max-time 1 >/dev/null 2>&1 || true

printf '{"plain":["%s","%s"],"streamed":["%s","%s"],"unknown":%s,"wrong":%s,"spent":%s,"left":true}\n' \
  "$plain_agent" "$plain_alone" "$streamed_agent" "$streamed_alone" \
  "$(status "$(body nobody/none plain)")" "$(status "$(body auto plain ',"n":2')")" \
  "$(status "$(body mistral/mistral-small-latest plain)")"
