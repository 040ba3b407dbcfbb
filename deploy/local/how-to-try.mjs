// What `npm start` prints once requests are answered.
import { bold } from './terminal.mjs';

/**
 * Commands to try, for any shell.
 * @param {string} url where the API is
 * @param {string} model what requests call the model
 * @param {boolean} withKey whether the key in LONGHAUL_API_KEY has to be sent; curl gets it through a pipe, since every
 *   user of the machine can read command lines
 */
export const howToTry = (url, model, withKey) => `
${bold('Longhaul is ready:')} ${url}

  ${elsewhere(url)}npx longhaul submit examples/opinions \\
    --questions examples/questions.txt --watch
  ${elsewhere(url)}npx longhaul results

  ${withKey ? pipedKey : ''}curl ${url}/v1/chat/completions \\
    -H 'content-type: application/json' ${withKey ? '-H @- ' : ''}-d '{"model":"${model}",
    "messages":[{"role":"user","content":"Hello!"}]}'

  OpenAI clients: baseURL ${url}/v1. Ctrl-C stops everything.
`;

const pipedKey = `printf 'authorization: Bearer %s' "$LONGHAUL_API_KEY" |\n  `;

export const howToGetIn = (url) => `
${bold('Longhaul is ready:')} ${url}

  Requests need an API key: export LONGHAUL_API_KEY=$(npx longhaul keys create NAME)
`;

/** What the command line has to be told where the API is not at its usual address. */
const elsewhere = (url) => (url === 'http://127.0.0.1:8080' ? '' : `LONGHAUL_URL=${url} `);
