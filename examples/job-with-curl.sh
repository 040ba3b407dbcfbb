#!/usr/bin/env bash
# Every question of a file on every document of a folder, as a job, with nothing but curl. Longhaul must be running
# (npm start). Says what happens on stderr, and writes the answers as CSV.
#
#   examples/job-with-curl.sh [folder] [questions] >answers.csv
set -euo pipefail
folder=${1:-$(dirname "$0")/opinions}
questions=${2:-$(dirname "$0")/questions.txt}
base=${LONGHAUL_URL:-http://127.0.0.1:8080}/v1

# The key goes through a pipe: every user of the machine can read command lines.
authorization() { printf '%s' "${LONGHAUL_API_KEY:+authorization: Bearer $LONGHAUL_API_KEY}"; }
call() { authorization | curl -sS --fail-with-body -H @- "$@"; }
field() { node -pe 'JSON.parse(fs.readFileSync(0))[process.argv[1]]' "$1"; } # of the JSON object on stdin

documents=()
for path in "$folder"/*; do
  file=$(call "$base/files" -F purpose=user_data -F "file=@$path" | field id)
  documents+=("$file $(basename "$path")")
done

body=$(node -e '
  const [file, ...given] = process.argv.slice(1);
  const documents = given.map((one) => ({ file_id: one.split(" ")[0], id: one.slice(one.indexOf(" ") + 1) }));
  const questions = fs.readFileSync(file, "utf8").split("\n").filter(Boolean);
  const compression = { questions: "unseen" }; // later jobs with other questions find the documents held
  const options = { temperature: 0, max_completion_tokens: 16 };
  console.log(JSON.stringify({ documents, questions, compression, options }));
' "$questions" "${documents[@]}")
job=$(call "$base/jobs" -H 'content-type: application/json' -d "$body" | field id)

# Server-sent events: the job, each item as it finishes, and at last the job as it ended, which ends the stream.
call -N "$base/jobs/$job/events" | sed -un 's/.*"job.item".*"custom_id":"\([^"]*\)".*/answered: \1/p' >&2
call "$base/jobs/$job/results?format=csv"
