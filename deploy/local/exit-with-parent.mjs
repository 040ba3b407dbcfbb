// Loaded before an app that start.mjs runs (node --import): if start.mjs is killed hard, the app drains and ends too.
// Where the output went may be gone too (npm start | tee, a closed terminal): that must not end a drain.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

if (process.channel) {
  process.on('disconnect', () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.exit(1), 30_000).unref();
  });
  process.channel.unref(); // the channel alone must not keep the app running
}
