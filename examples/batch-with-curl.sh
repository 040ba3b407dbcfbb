#!/usr/bin/env bash
# Two questions about a document, as a batch, with nothing but curl. Longhaul must be running (npm start).
#
#   examples/batch-with-curl.sh [document]
set -euo pipefail
document=${1:-$(dirname "$0")/opinions/greene_v_fisher.pdf}
base=${LONGHAUL_URL:-http://127.0.0.1:8080}/v1

# The key goes through a pipe: every user of the machine can read command lines.
authorization() { printf '%s' "${LONGHAUL_API_KEY:+authorization: Bearer $LONGHAUL_API_KEY}"; }
call() { authorization | curl -sS --fail-with-body -H @- "$@"; }
field() { node -pe 'JSON.parse(fs.readFileSync(0))[process.argv[1]]' "$1"; } # of the JSON object on stdin
model=$(call "$base/models" | node -pe 'JSON.parse(fs.readFileSync(0)).data[0].id')

file=$(call "$base/files" -F purpose=user_data -F "file=@$document" | field id)

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
ask() {
  printf '{"custom_id":"%s","method":"POST","url":"/v1/chat/completions","body":{"model":"%s","temperature":0,"max_completion_tokens":16,"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"%s"}},{"type":"text","text":"%s"}]}]}}\n' \
    "$1" "$model" "$file" "$2" >>"$lines"
}
ask justice 'What is the name of the justice who delivered the opinion?'
ask date 'On what date was the case decided?'
input=$(call "$base/files" -F purpose=batch -F "file=@$lines;filename=questions.jsonl" | field id)

batch=$(call "$base/batches" -H 'content-type: application/json' \
  -d "{\"input_file_id\":\"$input\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}" | field id)

until status=$(call "$base/batches/$batch" | field status) &&
  [[ $status =~ ^(completed|failed|expired|cancelled)$ ]]; do
  echo "$batch: $status"
  sleep 1
done
echo "$batch: $status"
output=$(call "$base/batches/$batch" | field output_file_id)
call "$base/files/$output/content"
