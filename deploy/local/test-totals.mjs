// Prints `N passed, N failed` from vitest's report, for .ci/run; exits with 1 unless tests ran and none failed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';

const exitCode = Number(process.argv[2]);
let passed = 0;
let failed = 0;
try {
  const report = JSON.parse(readFileSync(join(root, 'out/test-results.json'), 'utf8'));
  passed = report.numPassedTests;
  failed = report.numFailedTests;
  // A file that could not even be loaded has failed without any test of its own.
  failed += report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
} catch {
  // no report: the set-up failed before the first test
}
// An error outside of every test, or nothing run at all, is a failure too.
if (failed === 0 && (exitCode !== 0 || passed === 0)) failed = 1;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
