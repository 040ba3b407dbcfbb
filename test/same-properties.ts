import fc from 'fast-check';

// Every run draws the same cases, so that none fails by chance; LONGHAUL_TEST_SEED draws others.
fc.configureGlobal({ seed: Number(process.env['LONGHAUL_TEST_SEED'] ?? 1) });
