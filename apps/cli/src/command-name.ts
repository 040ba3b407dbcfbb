/** What a user types to run the command line again: npx says so in the environment. */
export const LONGHAUL = process.env['npm_command'] === 'exec' ? 'npx longhaul' : 'longhaul';
