// Results in the order in which they came.
const order = [];
for await (const each of asCompleted(Array.from({ length: 8 }, (_, n) => () => agent(`part ${n}`, { retries: 2 })))) {
  order.push([each.index, each.status]);
  if (order.length === 6) break;
}
return order;
