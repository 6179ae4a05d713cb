// Typed reasons where agent() alone would have given null.
const outcomes = await settle(Array.from({ length: 12 }, (_, n) => () => agent(`item ${n}`, { retries: 0 })));
({ statuses: outcomes.map((each) => each.status), failed: failures().length });
