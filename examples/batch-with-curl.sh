#!/usr/bin/env bash
# Two questions about one document, as a batch, with nothing but curl. Start Longhaul first: npm start
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
base=${LONGHAUL_URL:-http://127.0.0.1:8080}/v1

field() { node -pe 'JSON.parse(require("fs").readFileSync(0))[process.argv[1]]' "$1"; }

document=$(curl -sS "$base/files" -F purpose=user_data -F file=@examples/documents/scotus_greene_v_fisher.txt | field id)

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
ask() {
  printf '{"custom_id":"%s","method":"POST","url":"/v1/chat/completions","body":{"model":"smollm2-135m-instruct","temperature":0,"max_completion_tokens":48,"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"%s"}},{"type":"text","text":"%s"}]}]}}\n' \
    "$1" "$document" "$2" >>"$lines"
}
ask justice 'Which justice delivered the opinion of the Court?'
ask crime 'Of what crime did the jury convict Greene?'
input=$(curl -sS "$base/files" -F purpose=batch -F "file=@$lines;filename=questions.jsonl" | field id)

batch=$(curl -sS "$base/batches" -H 'content-type: application/json' \
  -d "{\"input_file_id\":\"$input\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}" | field id)

until status=$(curl -sS "$base/batches/$batch" | field status) && [[ $status == completed || $status == failed ]]; do
  echo "$batch: $status"
  sleep 2
done
output=$(curl -sS "$base/batches/$batch" | field output_file_id)
curl -sS "$base/files/$output/content"
