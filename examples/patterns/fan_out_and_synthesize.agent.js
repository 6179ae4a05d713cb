// Fan out and synthesize, Claude Code dialect.
//   loopwright run examples/patterns/fan_out_and_synthesize.agent.js --model mock
export const meta = {
  name: 'fan-out-and-synthesize',
  description: 'One agent a file, one that sums up',
  phases: [{ title: 'Read' }, { title: 'Synthesize' }],
};

phase('Read');
const listed = await tools.glob({ pattern: 'docs/errors/LW01*.md' });
const files = listed.split('\n').filter(Boolean);
const notes = await parallel(
  files.map((file) => () =>
    agent(`Read ${file} and say in one sentence what the author must do about this error`, { label: file })),
);

phase('Synthesize');
const kept = notes.filter(Boolean);
log(`${kept.length} of ${files.length} notes came back`);
const report = await agent(`Write one paragraph of advice from these notes:\n${kept.join('\n')}`);

return { files: files.length, notes: kept.length, report };
