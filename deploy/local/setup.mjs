// `npm run setup`
import { prepare } from './prepare.mjs';
import { exitWith } from './setup-error.mjs';

prepare().catch(exitWith);
