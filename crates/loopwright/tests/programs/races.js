// Quorum, hedge and deadlines: losers are cancelled, completion order is journalled.
const three = (n) => () => agent(`voter ${n}`, { retries: 3 });
let voted;
try { voted = (await quorum(2, [1, 2, 3].map(three), { deadlineMs: 5000 })).length; } catch (error) { voted = error.reason; }
let hedged;
try { hedged = typeof await hedge(() => agent('slow one', { retries: 3 }), { afterMs: 1 }); } catch (error) { hedged = error.reason ?? error.name; }
const late = await withDeadline(1, () => sleep(60_000).then(() => 'never'), 'otherwise');
const first = await Promise.race([sleep(1).then(() => 'short'), sleep(40).then(() => 'long')]);
return { voted, hedged, late, first };
