const answers = await parallel([1, 2].map((m) => () => agent(`inner ${args.n}.${m}`)));
({ n: args.n, answered: answers.filter(Boolean).length });
