// Loaded before an app (node --import): where its output goes may be gone while it drains, as `tee` is after Ctrl-C in
// `npm start | tee log`, and a line that cannot be written must not end the drain.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});
