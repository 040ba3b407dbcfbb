// Runs a program quietly: what it prints is kept, and shown only if it fails.
import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';

/**
 * Runs a program to its end. Never rejects: `code` is the exit status, 127 if the program could not be started.
 * @returns {Promise<{code: number, output: string}>} `output` is stdout and stderr together.
 */
export function runCommand(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    const keep = (chunk) => {
      output += chunk;
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => resolve({ code: 127, output: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/** The last lines of a program's output, indented, for an error message. */
export const tail = (output, lines = 15) => indent(linesOf(output).slice(-lines));

/** The first lines: some programs say what is wrong and then how they are used. */
export const head = (output, lines = 15) => indent(linesOf(output).slice(0, lines));

const linesOf = (output) => stripVTControlCharacters(output).trimEnd().split('\n');

const indent = (lines) => lines.map((line) => `    ${line}`).join('\n');
