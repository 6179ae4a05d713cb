const results = await parallel([
  () => agent('fine'),
  () => { throw new TypeError('mine'); },
  async () => { await sleep(1); throw { custom: true }; },
  () => task({ description: 'rejects or not', retries: 0 }),
]);
return results.map((each) => each === null);
