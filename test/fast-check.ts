import fc from '../node_modules/fast-check/lib/fast-check.js';

// Every run draws the same cases, so that none fails by chance; LONGHAUL_TEST_SEED draws others.
fc.configureGlobal({ seed: Number(process.env['LONGHAUL_TEST_SEED'] ?? 1) });

export * from '../node_modules/fast-check/lib/fast-check.js';
export default fc;
