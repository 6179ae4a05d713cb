const bad = { get reason() { return settle([() => { throw bad }]) }, get message() { throw bad }, get name() { throw bad } };
const r = await settle([() => { throw bad }, () => Promise.reject(bad), 5, null]);
r.length