// Barrier versus pipeline: the same three stages over the same items, twice. Behind a barrier every item waits
// for the slowest one of each stage; in a pipeline it waits for nobody.
//   loopwright run examples/barrier_versus_pipeline.js --model mock \
//     --set mock.latency_ms=20 --set mock.latency_spread_ms=200 --set run.concurrency=64
export const meta = {
  name: 'barrier-versus-pipeline',
  description: 'The same stages with and without barriers, timed on the run’s own clock',
  phases: [{ title: 'Barrier' }, { title: 'Pipeline' }],
  args: { type: ['object', 'null'], properties: { items: { type: 'integer', minimum: 1, maximum: 500 } } },
};

const ITEMS = Array.from({ length: args?.items ?? 20 }, (_, n) => `item ${n + 1}`);
const stage = (number, item, group) => agent(`Stage ${number} of ${item} (${group})`, { label: item });

async function timed(title, work) {
  phase(title);
  const began = Date.now();
  const results = await work();
  return { ms: Date.now() - began, done: results.filter(Boolean).length };
}

const barrier = await timed('Barrier', async () => {
  let results = [];
  for (const number of [1, 2, 3]) {
    results = await parallel(ITEMS.map((item) => () => stage(number, item, 'barrier')));
  }
  return results;
});

const flowing = await timed('Pipeline', () =>
  pipeline(
    ITEMS,
    (_, item) => stage(1, item, 'pipeline'),
    (_, item) => stage(2, item, 'pipeline'),
    (_, item) => stage(3, item, 'pipeline'),
  ));

return { items: ITEMS.length, barrier, pipeline: flowing, saved_ms: barrier.ms - flowing.ms };
