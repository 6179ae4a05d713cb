const items = ['a', 'b', 'c', 'd'];
const seen = coverage(items);
const answers = await parallel(items.slice(0, 3).map((item) => () => agent(`do ${item}`, { label: item })));
seen.skipped('d', 'not today');
return answers.map((each) => typeof each);
