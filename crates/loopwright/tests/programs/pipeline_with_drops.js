export const meta = { name: 'drops', description: 'A stage that throws drops its item', phases: [{ title: 'Work' }] };
phase('Work');
const items = Array.from({ length: 10 }, (_, n) => n);
const kept = await pipeline(
  items,
  (n) => agent(`first ${n}`, { schema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] } }),
  (seen, n) => { if (n % 4 === 3) throw new Error(`item ${n} is not wanted`); return { n, ok: seen.ok }; },
);
log(`${kept.filter(Boolean).length} kept`);
return kept.map((each) => each && each.n);
